import signal
import threading

import pytest
from structlog.testing import capture_logs

from isthmus.errors import ExportError
from isthmus.export.training import checkpoint


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "folder" / "run.v1"
    checkpoint.write(path, {"step": 1}, {"seed": 3})
    checkpoint.write(path, {"step": 2, "losses": [{"loss": 0.5}]}, {"seed": 3, "code range": (-8, 7)})
    state = checkpoint.read(path, {"seed": 3, "code range": (-8, 7)})
    assert (state["step"], state["losses"]) == (2, [{"loss": 0.5}])
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("wanted", "message"), [({"seed": 4}, "it has seed 3, this training 4"), ({"bits": 1}, "it has bits None, this training 1")]
)
def test_another_training_is_refused_by_its_first_difference(tmp_path, wanted, message):
    checkpoint.write(tmp_path / "c", {"step": 1}, {"seed": 3})
    with pytest.raises(ExportError, match=message):
        checkpoint.read(tmp_path / "c", wanted)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("[enforce fail] unexpected pos")])
def test_a_full_disk_costs_the_checkpoint_and_not_the_training(tmp_path, monkeypatch, error):
    checkpoint.write(tmp_path / "c", {"step": 1}, {})

    def fill(_state, path):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(checkpoint.torch, "save", fill)
    with capture_logs() as logs:
        checkpoint.write(tmp_path / "c", {"step": 2}, {})
    assert [log["event"] for log in logs] == ["checkpoint not written: is the disk full?"]
    assert list(tmp_path.iterdir()) == [tmp_path / "c"]
    assert checkpoint.read(tmp_path / "c", {})["step"] == 1


def test_a_long_reason_becomes_one_short_line(tmp_path):
    words = str(checkpoint.refusal(tmp_path / "c", "size mismatch\n\t" * 100))
    assert "\n" not in words
    assert len(words) < len(str(tmp_path)) + 300


def test_ctrl_c_waits_for_the_end_of_the_block(ctrl_c):
    done = []

    @checkpoint.untorn()
    def step():
        signal.raise_signal(signal.SIGINT)
        done.append("the rest")

    with pytest.raises(KeyboardInterrupt):
        step()
    assert done == ["the rest"]
    assert signal.getsignal(signal.SIGINT) is ctrl_c


def test_an_error_in_the_block_puts_the_handler_back(ctrl_c):
    with pytest.raises(ValueError, match="torn"), checkpoint.untorn():
        raise ValueError("torn")
    assert signal.getsignal(signal.SIGINT) is ctrl_c


def test_another_thread_is_left_alone(ctrl_c):
    seen = []

    def work():
        with checkpoint.untorn():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [ctrl_c]
