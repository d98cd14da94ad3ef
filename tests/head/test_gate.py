import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

from isthmus.errors import ConfigError, SourceError
from isthmus.head.belt import Belt
from isthmus.head.gate import GateSettings, MotionGate


class Camera:
    """A still, textured scene under a camera with noise; light and a bright square are set by the test."""

    def __init__(self, width=320, height=240, noise=3.0):
        self.random = np.random.default_rng(7)
        coarse = self.random.uniform(40, 160, (12, 16, 3))
        self.scene = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        # Drawn once; every shot takes another window of it.
        self.noise = self.random.normal(0, noise, (height + 64, width + 64, 3)).astype(np.float32)

    def shot(self, *, gain=1.0, offset=0.0, square=None, side=30):
        scene = self.scene * np.float32(gain) + np.float32(offset)
        if square is not None:
            row, column = square
            scene[row : row + side, column : column + side] += 60
        row, column = self.random.integers(64, size=2)
        scene += self.noise[row : row + scene.shape[0], column : column + scene.shape[1]]
        return np.clip(np.rint(scene), 0, 255).astype(np.uint8)


@pytest.fixture
def camera():
    return Camera()


def _warm(gate, camera, frames=40):
    for _ in range(frames):
        decision = gate.decide(camera.shot())
    assert not decision.open
    return gate


def test_the_first_frame_opens_the_gate_for_want_of_a_background(camera):
    decision = MotionGate().decide(camera.shot())
    assert (decision.open, decision.reason) == (True, "no background yet")


def test_a_still_scene_closes_the_gate(camera):
    gate = _warm(MotionGate(), camera)
    assert not any(gate.decide(camera.shot()).open for _ in range(100))


@pytest.mark.parametrize("noise", [0.0, 8.0, 20.0])
def test_noise_does_not_open_the_gate(noise):
    camera = Camera(noise=noise)
    gate = _warm(MotionGate(), camera)
    assert not any(gate.decide(camera.shot()).open for _ in range(100))


@pytest.mark.parametrize(("gain", "offset"), [(0.6, 0), (1.4, 0), (1.0, 25), (0.8, -15), (1.2, 10)])
def test_a_step_of_the_light_does_not_open_the_gate(camera, gain, offset):
    gate = _warm(MotionGate(), camera)
    assert not any(gate.decide(camera.shot(gain=gain, offset=offset)).open for _ in range(20))


@pytest.mark.parametrize("gain", [1.0, 0.6, 1.5])
def test_the_light_of_a_mostly_black_scene_is_told_by_its_lit_part(camera, gain):
    camera.scene[:150] = 0
    gate = _warm(MotionGate(), camera)
    assert not any(gate.decide(camera.shot(gain=gain)).open for _ in range(20))
    assert gate.decide(camera.shot(gain=gain, square=(40, 60))).open


def test_a_lamp_in_the_dark_is_no_motion():
    night = np.zeros((240, 320, 3), np.uint8)
    night[40:80, 100:140] = 200
    gate = MotionGate(GateSettings(hold_frames=0))
    assert [gate.decide(night).open for _ in range(4)] == [True, False, False, False]


def test_slow_daylight_does_not_open_the_gate(camera):
    gate = _warm(MotionGate(), camera)
    gains = 1 + 0.4 * np.sin(np.linspace(0, 2 * np.pi, 400))
    assert not any(gate.decide(camera.shot(gain=gain)).open for gain in gains)


def test_motion_right_after_a_step_of_the_light_opens_the_gate(camera):
    gate = _warm(MotionGate(), camera)
    assert gate.decide(camera.shot(gain=0.7, square=(100, 100))).reason == "motion"


def test_a_moving_thing_opens_the_gate_on_every_frame(camera):
    gate = _warm(MotionGate(), camera)
    decisions = [gate.decide(camera.shot(square=(100, column))) for column in range(0, 280, 5)]
    assert all(decision.reason == "motion" for decision in decisions)
    assert all(0.005 < decision.moving_share < 0.03 for decision in decisions)


def test_the_gate_stays_open_for_the_hold_after_motion(camera):
    gate = _warm(MotionGate(GateSettings(hold_frames=3)), camera)
    gate.decide(camera.shot(square=(100, 100)))
    reasons = [gate.decide(camera.shot()).reason for _ in range(4)]
    assert reasons == ["hold", "hold", "hold", "nothing moves"]


def test_no_hold_closes_the_gate_at_once(camera):
    gate = _warm(MotionGate(GateSettings(hold_frames=0)), camera)
    assert gate.decide(camera.shot(square=(100, 100))).open
    assert not gate.decide(camera.shot()).open


def test_a_thing_that_stops_keeps_the_gate_open_for_a_minute_at_15_fps(camera):
    gate = _warm(MotionGate(), camera, frames=200)
    for column in range(0, 150, 5):
        gate.decide(camera.shot(square=(100, column)))
    assert all(gate.decide(camera.shot(square=(100, 150))).reason == "motion" for _ in range(900))


def test_a_thing_that_creeps_in_is_not_learned_away(camera):
    gate = _warm(MotionGate(), camera, frames=200)
    decisions = [gate.decide(camera.shot(square=(100, 0), side=side // 10)) for side in range(400)]
    assert all(decision.open for decision in decisions[200:])


def test_a_thing_that_stays_becomes_background_at_last(camera):
    gate = _warm(MotionGate(GateSettings(absorb_frames=100)), camera, frames=60)
    opened = [gate.decide(camera.shot(square=(100, 100))).open for _ in range(200)]
    assert all(opened[:100])
    assert not any(opened[120:])


def test_a_thing_in_the_first_frames_leaves_no_ghost_for_long(camera):
    gate = MotionGate()
    for column in (100, 110, 120):
        gate.decide(camera.shot(square=(100, column)))
    opened = [gate.decide(camera.shot()).open for _ in range(100)]
    assert opened[0]
    assert not any(opened[50:])


def test_a_large_thing_opens_the_gate(camera):
    gate = _warm(MotionGate(), camera)
    shot = camera.shot()
    shot[:, :200] = camera.random.integers(0, 255, (240, 200, 3))
    assert gate.decide(shot).open


def test_a_picture_of_another_size_starts_a_new_background(camera):
    gate = _warm(MotionGate(), camera)
    assert gate.decide(Camera(width=640, height=480).shot()).reason == "no background yet"


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 500), (1920, 1080), (240, 320)])
def test_any_size_is_taken(width, height):
    camera = Camera(width=width, height=height)
    gate = MotionGate()
    assert [gate.decide(camera.shot()).open for _ in range(12)][-1] is False


@pytest.mark.parametrize("level", [0, 255])
def test_pictures_of_one_colour_are_still(level):
    gate = MotionGate()
    assert not [gate.decide(np.full((240, 320, 3), level, np.uint8)).open for _ in range(10)][-1]


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3))]
)
def test_what_is_no_colour_picture_is_a_source_error(image):
    with pytest.raises(SourceError, match="has to be uint8"):
        MotionGate().decide(image)


@pytest.mark.parametrize(
    "setting",
    [
        {"cells": 0},
        {"open_share": 0.0},
        {"learn_rate": 1.5},
        {"hold_frames": -1},
        {"noise_factor": float("nan")},
        {"belief": -1.0},
    ],
)
def test_a_setting_out_of_range_is_named(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        GateSettings(**setting)


def test_on_a_belt_all_digits_pass_and_most_empty_frames_do_not():
    digits = load_digits()
    belt = Belt(digits.images.astype(np.uint8), digits.target.astype(np.uint8), seed=0, frames=1500)
    gate = MotionGate()
    views = [(gate.decide(view.image).open, view) for view in belt]
    seen = [is_open for is_open, view in views if view.label is not None]
    empty = [is_open for is_open, view in views if view.visible_share == 0]
    assert np.mean(seen) >= 0.99
    assert 1 - np.mean(empty) >= 0.6


def test_the_background_does_not_learn_while_the_gate_is_open(camera):
    gate = _warm(MotionGate(), camera, frames=200)
    for frame in range(300):
        shot = camera.shot(square=(20, frame % 280))
        shot[150:180, 150:180] = np.minimum(shot[150:180, 150:180], 195) + np.uint8(frame // 5)
        assert gate.decide(shot).open
    reasons = {gate.decide(camera.shot(square=(150, 150))).reason for _ in range(20)}
    assert reasons == {"motion"}


def test_a_thing_too_small_to_open_the_gate_is_not_learned_away(camera):
    gate = _warm(MotionGate(GateSettings(open_share=0.008)), camera, frames=200)
    assert not any(gate.decide(camera.shot(square=(100, 100), side=20)).open for _ in range(100))
    both = camera.shot(square=(100, 100), side=20)
    both[40:60, 40:60] = np.minimum(both[40:60, 40:60], 195) + np.uint8(60)
    assert gate.decide(both).open


def test_single_cells_do_not_open_the_gate(camera):
    gate = _warm(MotionGate(), camera)
    shot = camera.shot()
    for row in range(0, 240, 24):
        shot[row : row + 4, row : row + 4] = 255
    assert not gate.decide(shot).open
