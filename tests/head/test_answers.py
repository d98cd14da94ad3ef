import threading

import cv2
import numpy as np
import pytest

from isthmus.errors import ConfigError, DeviceError, SourceError, TailUnavailable
from isthmus.head.answers import WAITING_MAX, Answers

pytestmark = [pytest.mark.usefixtures("no_threads_left"), pytest.mark.timeout(60)]


@pytest.fixture
def folder(tmp_path):
    """Twenty pictures of noise."""
    for number in range(20):
        picture = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    return str(tmp_path)


def test_every_picture_is_answered_while_one_iterates(tiny_bundle, serve, folder):
    with Answers(tiny_bundle, source=folder, tails=[serve().address], gate=False) as answers:
        records = list(answers)
    assert sorted(record.sequence for record in records) == list(range(20))
    assert all(record.classification and record.outputs["scores"].shape == (1, 5) for record in records)
    assert answers.summary.answered == 20


def test_a_bundle_is_opened_by_its_path_and_needs_no_server_to_answer_locally(tiny_bundle, folder):
    with Answers(tiny_bundle.folder, source=folder, placement="local", gate=False) as answers:
        assert {record.placement for record in answers} == {"local"}


def test_a_reader_that_has_enough_stops_the_agent(tiny_bundle, serve, folder):
    with Answers(tiny_bundle, source=folder, tails=[serve().address], gate=False) as answers:
        next(iter(answers))
        waiting = answers._records
        with waiting._arrived:
            assert waiting._arrived.wait_for(lambda: len(waiting) == WAITING_MAX, 20)
    assert answers.summary.frames < 20


def test_a_slow_reader_holds_the_agent_up(tiny_bundle, folder):
    with Answers(tiny_bundle, source=folder, placement="local", gate=False) as answers:
        records = iter(answers)
        next(records)
        assert len(answers._records) <= WAITING_MAX
        assert len(list(records)) == 19


def test_a_source_that_breaks_is_told_to_whoever_iterates(tiny_bundle, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"broken")
    with (
        Answers(tiny_bundle, source=str(tmp_path), placement="local") as answers,
        pytest.raises(SourceError, match="nothing can be read"),
    ):
        list(answers)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({}, ConfigError),
        ({"tails": ["127.0.0.1:1"], "connect_wait_s": 0.05}, TailUnavailable),
        ({"placement": "local", "provider": "tensorrt"}, DeviceError),
    ],
)
def test_what_cannot_be_opened_is_told_on_entering(tiny_bundle, folder, settings, error):
    before = threading.active_count()
    with pytest.raises(error), Answers(tiny_bundle, source=folder, **settings):
        pass
    assert threading.active_count() == before


def test_a_setting_that_there_is_not_is_an_error_of_the_caller(tiny_bundle):
    with pytest.raises(TypeError, match="tial"):
        Answers(tiny_bundle, source="x", tial="y")
