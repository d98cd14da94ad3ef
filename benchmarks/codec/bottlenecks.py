"""Bottlenecks made by the exporter's own training, and the codes that they give."""

from dataclasses import dataclass

import numpy as np
from benchmarks.codec import pictures
from benchmarks.codec.networks import DATA, NETWORKS, Known

from isthmus.contract.prepare import prepare
from isthmus.export.bottlenecks import pca
from isthmus.export.bottlenecks.bottleneck import Bottleneck, from_modules
from isthmus.export.bottlenecks.halves import CodedHalves, assembled
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import Halves, split
from isthmus.export.doors.opening import open_model
from isthmus.export.graph.session import Session
from isthmus.export.training import recipe
from isthmus.export.training.distill import Learned, TrainingSettings, learn

FRAMES = 120
"""Of each film."""
TRAIN, TEST = 600, 200
"""Photos to train on, and to measure on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One bottleneck to make.

    Attributes:
        network: one of `NETWORKS`.
        shape: of the tensor at the cut; the last such cut is taken.
        channels, bits: of the codes.
        how: "learned" or "pca".
        steps, batch: of training; of so many steps the result is the same on a fast and on a busy machine.
        rate_weight: of the bits of a code in the loss; 0: plain.
    """

    network: str
    shape: tuple[int, int, int]
    channels: int
    bits: int = 4
    how: str = "learned"
    steps: int = 150
    batch: int = 16
    rate_weight: float = 0.0


PLANS = {
    "mobilenet-s16-c12": Plan(network="MobileNetV2", shape=(64, 14, 14), channels=12),
    "mobilenet-s16-c12-rate": Plan(network="MobileNetV2", shape=(64, 14, 14), channels=12, steps=300, rate_weight=0.2),
    "resnet-s4-c6": Plan(network="ResNet-56", shape=(32, 16, 16), channels=6, steps=1000, batch=32),
    "resnet-s4-c12-rate": Plan(network="ResNet-56", shape=(32, 16, 16), channels=12, steps=2000, batch=32, rate_weight=0.2),
    "fastestdet-s16-c12-pca": Plan(network="FastestDet", shape=(96, 22, 22), channels=12, how="pca"),
    "fastestdet-s16-c32-pca": Plan(network="FastestDet", shape=(96, 22, 22), channels=32, how="pca"),
    "mobilenet-s16-c3": Plan(network="MobileNetV2", shape=(64, 14, 14), channels=3),
    "mobilenet-s16-c6": Plan(network="MobileNetV2", shape=(64, 14, 14), channels=6),
    "mobilenet-s8-c12": Plan(network="MobileNetV2", shape=(32, 28, 28), channels=12),
}


class Workbench:
    """One network with the pictures that it is measured on."""

    def __init__(self, name: str) -> None:
        self.known: Known = NETWORKS[name]
        self.source = open_model(self.known.reference)
        self.cuts = cuts.enumerate(self.source.model)
        self.whole = Session(self.source.model)
        if name == "ResNet-56":
            self.train = pictures.cifar(DATA, "train.npz", 10 * TRAIN)
            self.test = pictures.cifar(DATA, "test_dev.npz", 3 * TEST)
            self.films: dict[str, list[np.ndarray]] = {}
        else:
            self.train = pictures.clothing(DATA, "train", TRAIN)
            self.test = pictures.clothing(DATA, "validation", TEST)
            self.films = pictures.films(DATA, FRAMES)

    def answers(self, frames: list[np.ndarray]) -> np.ndarray:
        """Of the whole network, one row for each picture."""
        return np.concatenate([self._answer(self.whole, prepare(frame, self.known.preparation)) for frame in frames])

    def wanted(self) -> np.ndarray:
        """What answers to the test pictures are judged by: labels where they are known, else the whole network's answers."""
        return self.answers(list(self.test.pictures)) if self.test.labels is None else self.test.labels

    def halves(self, shape: tuple[int, int, int]) -> Halves:
        """Split at the last cut of that shape."""
        fitting = [cut for cut in self.cuts if cut.is_single and cut.shapes[0][1:] == shape]
        return split(self.source.model, fitting[-1])

    @staticmethod
    def _answer(session: Session, value: np.ndarray) -> np.ndarray:
        return session.run({session.inputs[0]: value})[session.outputs[0]]


class Made:
    """A bottleneck at work, and after how many steps of training."""

    def __init__(self, bench: Workbench, coded: CodedHalves, steps: int) -> None:
        self.bench = bench
        self.coded = coded
        self.steps = steps
        self._head, self._tail = Session(coded.head), Session(coded.tail)

    def codes(self, frames: list[np.ndarray]) -> np.ndarray:
        """int8 or uint8[frame, channel, row, column]."""
        return np.concatenate([self._one(self._head, prepare(one, self.bench.known.preparation)) for one in frames])

    def answers(self, codes: np.ndarray) -> np.ndarray:
        """What the tail makes of codes."""
        return np.concatenate([self._one(self._tail, codes[index : index + 1]) for index in range(len(codes))])

    @staticmethod
    def _one(session: Session, value: np.ndarray) -> np.ndarray:
        return session.run({session.inputs[0]: value})[session.outputs[0]]


def make(plan: Plan, bench: Workbench) -> Made:
    """Make the bottleneck of a plan."""
    halves = bench.halves(plan.shape)
    if plan.how == "pca":
        bottlenecks = pca.projected(halves, bench.train, bench.known.preparation, channels=plan.channels, bits=plan.bits)
        return Made(bench, assembled(halves, bottlenecks), 0)
    learned = _learned(plan, halves, bench)
    bottleneck: Bottleneck = from_modules(halves, learned.encoder, learned.decoder, bits=plan.bits, replaces_head=True)
    return Made(bench, assembled(halves, [bottleneck]), learned.steps)


def _learned(plan: Plan, halves: Halves, bench: Workbench) -> Learned:
    made = recipe.load()
    # The network behind the codes stays the same for all bottlenecks, and every photo is seen as it is.
    stages = [stage.model_copy(update={"trains": ("encoder", "decoder")}) for stage in made.stages]
    if plan.network == "FastestDet":
        # The answers of a detector are no class scores: it learns from the features alone.
        stages = [stages[0].model_copy(update={"share": 1.0})]
    made = made.model_copy(update={"stages": tuple(stages), "views": recipe.Views()})
    settings = TrainingSettings(recipe=made, steps=plan.steps, batch=plan.batch, rate_weight=plan.rate_weight or None)
    return learn(halves, bench.train, bench.known.preparation, channels=plan.channels, bits=plan.bits, settings=settings)
