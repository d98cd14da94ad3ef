"""The papers' tables: a core that is slowed, a device before a real server, which pictures are equal, and the page."""

import contextlib
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import onnx
import pytest
import torch

from isthmus.errors import DeviceError

BURN = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
begun, used = time.perf_counter(), time.process_time()
while time.perf_counter() - begun < 0.8:
    pass
print((time.process_time() - used) / (time.perf_counter() - begun))
"""


def part(package, name):
    return package(f"benchmarks.papers.{name}")


@pytest.fixture
def slow_core(package):
    found = part(package, "slow_core")
    if reason := found.why_not():
        pytest.skip(reason)
    return found


@pytest.fixture
def answered(package):
    def make(name, setting, network, size, right):
        kind = part(package, "answered").Answered
        return kind(name=name, setting=setting, network=network, bytes_mean=size, right=right, photos=100)

    return make


def row(placement, link, p50_ms, *, server_ms=20.0, setting="webp 96px q10, adapted"):
    stages = {"head": 10.0} | ({} if placement == "local" else {"network": 5.0, "server compute": server_ms})
    spent = {"p50_ms": p50_ms, "low_ms": p50_ms - 1, "high_ms": p50_ms + 1, "stages_ms": stages}
    told = {"bytes": 390.0, "frames": 3, "failures": 0, "network": "ResNet-50"}
    return {"placement": placement, "setting": setting, "link": link, **spent, **told}


ROWS = [row("local", "", 500.0), row("split", "1mbit/10ms", 60.0), row("offload", "1mbit/10ms", 80.0)]


def test_a_slowed_core_gives_no_more_than_its_share(slow_core):
    core = slow_core.core()
    with slow_core.SlowCore(core, 0.25):
        done = subprocess.run([sys.executable, "-c", BURN, str(core)], capture_output=True, text=True, check=True, timeout=60)
    assert float(done.stdout) < 0.4


def test_a_slowed_core_is_let_go_when_whoever_took_it_ends(slow_core):
    take = f"one = SlowCore({slow_core.core()}, 0.5).__enter__()"
    code = f"from slow_core import SlowCore; {take}; print(one._process.pid)"
    folder = str(slow_core.Path(slow_core.__file__).parent)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    with contextlib.suppress(ChildProcessError, ProcessLookupError):
        for _ in range(200):
            slow_core.time.sleep(0.05)
            slow_core.os.kill(int(done.stdout), 0)
        pytest.fail("the core was never given back")


def test_a_share_that_the_kernel_does_not_keep_is_refused(package):
    with pytest.raises(ValueError, match=r"a core cannot give 2\.0% of its time"):
        part(package, "slow_core").SlowCore(0, 0.02)


def test_calibration_finds_the_share_although_work_does_not_scale(package, monkeypatch):
    emulated = part(package, "emulated")
    given = []
    monkeypatch.setattr(emulated.slow_core, "SlowCore", lambda _core, share: contextlib.nullcontext(given.append(share)))
    device = emulated.Device(None, 0)
    monkeypatch.setattr(device, "network_ms", lambda _cell, _frames: 50.0 if not given else 70.0 / given[-1])
    found = emulated.calibrate(device, "local", 500.0)
    assert found.share == pytest.approx(0.14)
    assert found.slow_ms == pytest.approx(500.0)


def test_a_machine_that_is_slower_than_the_device_cannot_be_it(package, monkeypatch):
    emulated = part(package, "emulated")
    device = emulated.Device(None, 0)
    monkeypatch.setattr(device, "network_ms", lambda _cell, _frames: 600.0)
    with pytest.raises(DeviceError, match="is to take 500 ms"):
        emulated.calibrate(device, "local", 500.0)


def test_a_device_process_answers_alone_by_split_and_by_picture(package, tiny_bundle, tmp_path):
    pi4, emulated = part(package, "pi4"), part(package, "emulated")
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.zeros((40, 60, 3), np.uint8))
    rival = pi4.Rival(codec="jpeg", side=16, quality=50, network="plain")
    given = pi4.Round(rivals=[rival], links=["20mbit/2ms"], pictures=[picture], frames=2)
    made = pi4.cells(pi4.Subject(name="tiny", bundle=tiny_bundle.origin), given)
    with emulated.started(tiny_bundle.origin, made, [picture]) as device:
        found = device.order([cell.name for cell in made], 2)
    rows = [pi4._row(cell, found[cell.name]) for cell in made]
    assert [one["placement"] for one in rows] == ["local", "split", "offload"]
    assert [one["setting"] for one in rows] == ["local", "split", "jpeg 16px q50, plain"]
    assert rows[0]["bytes"] == 0 < rows[1]["bytes"] < rows[2]["bytes"]
    assert all(one["frames"] == 2 and one["p50_ms"] > 0 for one in rows)


def test_a_device_that_cannot_start_says_why(package, tmp_path):
    emulated = part(package, "emulated")
    cell = {"name": "a", "bundle": str(tmp_path / "none.isthmus"), "kind": "local", "file": "whole.onnx"}
    with pytest.raises(DeviceError, match=r"did not start: .*none\.isthmus"), emulated._device([cell], [], 0):
        pass


def test_pictures_stand_in_that_are_as_good_as_the_split_and_quick_or_small(package, answered):
    found = [
        answered("split", "c6", "", 390.0, 89),
        answered("webp", "96px q10", "plain", 500.0, 88),
        answered("webp", "96px q45", "plain", 900.0, 90),
        answered("webp", "128px q10", "plain", 800.0, 89),
        answered("webp", "160px q1", "adapted", 600.0, 89),
        answered("webp", "160px q9", "adapted", 650.0, 95),
        answered("webp", "96px q10", "adapted", 700.0, 90),
        answered("webp", "64px q10", "adapted", 500.0, 80),
    ]
    chosen = part(package, "answered").stand_ins(found)
    assert [(one.setting, one.network) for one in chosen] == [
        ("160px q1", "adapted"),
        ("96px q10", "adapted"),
        ("128px q10", "plain"),
    ]


def test_the_split_is_compared_with_the_quickest_picture_and_without_the_server(package):
    slow_page = part(package, "slow_page")
    rows = [*ROWS, row("offload", "1mbit/10ms", 70.0, server_ms=30.0, setting="jpeg 128px q20, plain")]
    (found,) = slow_page.gains(rows)
    assert found["over_local"] == pytest.approx(0.88)
    assert found["over_picture"] == pytest.approx(1 / 7)
    assert found["without_server"] == pytest.approx(0.0)


def test_a_plan_stands_beside_the_quickest_that_loses_no_more(package, answered):
    told = [answered("unsplit", "whole", "", 0.0, 92), answered("split", "c6", "", 390.0, 89)]
    told.append(answered("webp", "96px q10", "adapted", 700.0, 91))
    own = {"network": "ResNet-50", "link": "1mbit/10ms", "placement": "local", "setting": "whole"}
    found = {"answered": [{name: getattr(one, name) for name in one.__slots__} for one in told]}
    found["plans"] = [own | {"drop": "1%"}, own | {"drop": "4%"}]
    rows = [row("local", "", 500.0), row("split", "1mbit/10ms", 60.0, setting="split"), row("offload", "1mbit/10ms", 80.0)]
    text = part(package, "slow_page")._plans(found, rows, "ResNet-50")
    assert "| 1% | local whole | webp 96px q10, adapted 80 (79 to 81) |" in text
    assert "| 4% | local whole | split 60 (59 to 61) |" in text


def test_energy_is_modelled_of_what_the_device_computes_on_one_core_of_four(package):
    assert part(package, "slow_page").energy_mj(ROWS[0]) == pytest.approx((6.4 - 2.7) / 4 * 10)


def test_a_drawn_head_gives_codes_as_wide_as_a_trained_one_begins_with(package):
    bundles = part(package, "bundles")
    encoder, pictures = bundles._encoder(), torch.rand(2, 3, 64, 64)
    bundles._scale(encoder, pictures)
    units = encoder(pictures)
    assert units.shape == (2, 6, 4, 4)
    assert units.std((0, 2, 3)).tolist() == pytest.approx([2.5] * 6, rel=1e-3)
    assert units.mean((0, 2, 3)).tolist() == pytest.approx([0.0] * 6, abs=1e-3)


def test_a_head_is_borrowed_convolution_by_convolution(package, tmp_path):
    bundles = part(package, "bundles")
    trained, other = bundles._encoder(), bundles._encoder()
    bundles._scale(trained, torch.rand(2, 3, 64, 64))
    layers = [layer for layer in trained if isinstance(layer, torch.nn.Conv2d)]
    held = [(f"w{place}", layer.weight) for place, layer in enumerate(layers)]
    held += [(f"b{place}", layer.bias) for place, layer in enumerate(layers)]
    nodes = [onnx.helper.make_node("Conv", [f"x{i}", f"w{i}", f"b{i}"], [f"x{i + 1}"]) for i in range(len(layers))]
    weights = [onnx.numpy_helper.from_array(value.detach().numpy(), name) for name, value in held]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "head", [], [], weights))
    with zipfile.ZipFile(tmp_path / "a.isthmus", "w") as archive:
        archive.writestr("head.onnx", model.SerializeToString())
    bundles._borrow(other, tmp_path / "a.isthmus")
    pictures = torch.rand(1, 3, 64, 64)
    assert torch.equal(other(pictures), trained(pictures))


def test_the_page_tells_whose_figures_are_whose_and_what_is_left_out(package, answered, tmp_path):
    page = part(package, "page")
    meta = {"command": "c", "date": "d", "machine": "m", "versions": "v", "busy": "b"}
    sizes = {"network": "ResNet-50", "files": {"head.onnx": 100, "whole.onnx": 1000}, "head_flops": 1, "whole_flops": 100}
    sizes |= {"head_parameters": 10, "whole_parameters": 1000}
    calibration = {"network": "ResNet-50", "wanted_ms": 533.0, "quick_ms": 50.0, "slow_ms": 530.0, "share": 0.1}
    told = [answered("unsplit", "whole", "", 0.0, 92), answered("split", "c6", "", 390.0, 89)]
    told.append(answered("jpeg", "96px q10", "plain", 1560.0, 89))
    kept = [{name: getattr(one, name) for name in one.__slots__} for one in told]
    slow = {"rows": ROWS, "plans": [], "answered": kept, "sizes": [sizes], "calibration": calibration, "photos": "3 photos"}
    text = page.write(tmp_path, {"slow": {**slow, "left_out": ["The moon."], "meta": meta}}).read_text()
    assert (
        "| data less, accuracy lost | 77.1%, up to 0.6 points | 75.0% less than jpeg (plain) as good; 390 B, 3.0 points |" in text
    )
    assert "| split below the best picture, on one of them | >= 30% | 25% | **no** |" in text
    assert "Why not more" in text
    assert "- The moon." in text
    assert (tmp_path / "papers-latency.svg").read_text().count("<rect") == 4


def test_a_tiny_language_model_gets_from_its_bundles_to_the_page(package, tmp_path):
    melt, melt_page = part(package, "melt"), part(package, "melt_page")
    found = melt.run(melt.QUICK, tmp_path, say=lambda _: None)
    assert [one["weights"] for one in found["speed"]] == ["float32", "int8", "int4"]
    assert [bool(one["windows"]) for one in found["speed"]] == [False, True, False]
    assert found["speed"][0]["file_mb"] > found["speed"][1]["file_mb"] > found["speed"][2]["file_mb"] > 0
    text = melt_page.section(found)
    assert "| sustained run | energy and heat keep continuous execution out of reach | " in text
    assert "| 10mbit/5ms | token ids |" in text
    assert "{" not in text


def test_a_sustained_run_tells_its_speed_window_by_window(package):
    alone = part(package, "alone")

    class Steady:
        def restart(self):
            pass

        def run(self, ids, *, keep=None):
            pass

    windows = alone.sustained(Steady(), np.arange(6), 2, 0.05, window_s=0.02)
    ends = [one["at_s"] for one in windows]
    assert ends == sorted(ends)
    assert ends[-1] >= 0.05
    assert all(one["tokens_per_s"] > 0 for one in windows)


def test_a_program_that_fails_is_told_by_its_last_words(package):
    asked = ["-m", "isthmus", "plan", "none.isthmus", "--link", "1mbit/10ms", "--json"]
    with pytest.raises(RuntimeError, match=r"isthmus plan none\.isthmus .*: isthmus: .*none\.isthmus"):
        part(package, "commands").json_of(asked)


def test_a_page_without_an_emulated_device_says_why_and_measures_no_times(package, tmp_path):
    meta = {"command": "c", "date": "d", "machine": "m", "versions": "v", "busy": "b"}
    sizes = {"network": "ResNet-50", "files": {"head.onnx": 100, "whole.onnx": 1000}, "head_flops": 1, "whole_flops": 100}
    sizes |= {"head_parameters": 10, "whole_parameters": 1000}
    slow = {"rows": [], "plans": [], "answered": [], "sizes": [sizes], "calibration": None, "photos": "3 photos", "meta": meta}
    why = "The emulated device: there is but one core, and the server needs one that is not slowed."
    text = part(package, "page").write(tmp_path, {"slow": slow | {"left_out": [why]}}).read_text()
    assert f"- {why}" in text
    assert "| latency below local, below offloading | up to 89%, up to 55% | not measured |" in text
    assert not (tmp_path / "papers-latency.svg").exists()
