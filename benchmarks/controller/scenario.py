"""One stream of frames over one recorded link, and what every choice does with every frame: the same for all who are compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.controller.choice_table import ChoiceTable

from isthmus.devices.link import LinkProfile

OVERHEAD_BYTES = 60
"""HTTP/2, gRPC and protobuf around a payload on its way up."""
ANSWER_BYTES = 120
"""Of an answer with ten scores on its way down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Who asks.

    Attributes:
        fps: frames in a second.
        deadline_s: from capture to answer.
        frames: of the stream.
    """

    fps: float = 10.0
    deadline_s: float = 0.2
    frames: int = 2000

    @property
    def period_s(self) -> float:
        """Between two frames."""
        return 1 / self.fps


class Scenario:
    """Frames drawn at random of the photos, or in their order, with times that vary about those of a quiet machine.

    Attributes:
        camera: who asks.
        profile: the link.
        choices: their tables, in the order of the rows below.
        accuracy: float[choice].
        size_bytes: int[choice, frame].
        device_s, server_s: float[choice, frame].
    """

    def __init__(
        self, choices: Sequence[ChoiceTable], profile: LinkProfile, camera: Camera, *, seed: int, in_order: bool = False
    ) -> None:
        self.camera, self.profile, self.choices = camera, profile, choices
        random = np.random.default_rng(seed)
        photos = len(choices[0].right)
        order = np.arange(camera.frames) % photos if in_order else random.integers(0, photos, camera.frames)
        self.accuracy = np.array([choice.accuracy for choice in choices])
        self.size_bytes = np.array([choice.size_bytes for choice in choices])[:, order]
        # A tenth up and down is what a quiet machine shows.
        varied = np.exp(random.normal(0.0, 0.1, (2, len(choices), camera.frames)))
        self.device_s = np.array([choice.quiet_device_s for choice in choices])[:, np.newaxis] * varied[0]
        self.server_s = np.array([choice.quiet_server_s for choice in choices])[:, np.newaxis] * varied[1]

    @property
    def local(self) -> int:
        """Row of the choice that sends nothing."""
        return next(row for row, choice in enumerate(self.choices) if choice.placement == "local")

    def captured_s(self, frame: int) -> float:
        """When a frame is captured."""
        return frame * self.camera.period_s
