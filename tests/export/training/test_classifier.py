import numpy as np
import onnx_ir as ir
import pytest
import torch

from isthmus.contract.metric import proportion
from isthmus.contract.prepare import Preparation
from isthmus.errors import ExportError
from isthmus.export.cutting import cuts
from isthmus.export.doors import opening
from isthmus.export.graph.session import Session
from isthmus.export.samples import Samples, prepared
from isthmus.export.training import classifier
from isthmus.export.training.classifier import WIDTHS, Classifier
from isthmus.export.training.pace import Pace

PREPARATION = Preparation(width=32, height=32)
STEPS = 30


def made(count, names=("dark", "light"), seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pictures = [random.integers(0, 90, (32, 32, 3), np.uint8) + np.uint8(150 * label) for label in labels]
    return Samples(pictures=pictures, labels=labels, names=names, origin="made")


@pytest.fixture(autouse=True)
def _one_pace(monkeypatch):
    """What is learned does not depend on the machine."""
    monkeypatch.setattr(classifier, "fastest", lambda step: (step(way := Pace(threads=1, half_precision=False)), way)[1])


def train(samples, **changed):
    return classifier.train_classifier(samples, PREPARATION, steps=STEPS, batch=8, **changed)


def test_two_classes_that_lie_apart_are_learned():
    seen = []
    model = train(made(24), on_progress=lambda share, loss: seen.append((share, loss)))
    assert classifier.accuracy(model, made(20, seed=1), PREPARATION) == proportion("accuracy", 20, 20)
    assert seen[-1][1] < 0.5 * seen[0][1]
    assert [share for share, _ in seen] == sorted(share for share, _ in seen)
    assert not model.training


def test_the_seed_decides_the_weights():
    one, same, other = (train(made(8), seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["scores.weight"], other["scores.weight"])


def test_accuracy_counts_every_batch():
    model = Classifier(3, 2).eval()
    samples = made(70)
    with torch.no_grad():
        guesses = model(torch.from_numpy(prepared(samples.pictures, PREPARATION))).argmax(1).numpy()
    right = int((guesses == samples.labels).sum())
    assert classifier.accuracy(model, samples, PREPARATION) == proportion("accuracy", right, 70)


@pytest.mark.parametrize(("labels", "names"), [(None, ()), (np.zeros(4, np.int64), ("one",))])
def test_fewer_than_two_classes_are_refused(labels, names):
    samples = Samples(pictures=made(4).pictures, labels=labels, names=names, origin="made")
    with pytest.raises(ExportError, match=f"at least two classes; made has {len(names)}"):
        train(samples)


def test_accuracy_needs_labels():
    samples = Samples(pictures=made(4).pictures, labels=None, names=(), origin="made")
    with pytest.raises(ExportError, match="made has no labels"):
        classifier.accuracy(Classifier(3, 2), samples, PREPARATION)


@pytest.mark.parametrize(
    "preparation", [PREPARATION, Preparation(width=40, height=24, colour="grey", mean=(0.0,), standard_deviation=(1.0,))]
)
def test_the_onnx_equals_torch_and_names_its_stages_for_cuts(tmp_path, preparation):
    torch.manual_seed(3)
    model = Classifier(preparation.channels, 5).eval()
    classifier.write_onnx(model, preparation, tmp_path / "teacher.onnx")
    written = ir.load(tmp_path / "teacher.onnx")
    values = {value.name: value for node in written.graph for value in node.outputs}
    picture = torch.rand(3, *preparation.shape[1:])
    written.graph.outputs.extend(values[f"stage{number}"] for number in (1, 2, 3, 4))
    found = Session(written).run({"picture": picture.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found["scores"], model(picture).numpy(), rtol=1e-3, atol=1e-4)
        for number, width in enumerate(WIDTHS, start=1):
            wanted = model.stages[:number](picture).numpy()
            assert wanted.shape[1] == width
            np.testing.assert_allclose(found[f"stage{number}"], wanted, rtol=1e-3, atol=1e-4)
    found = cuts.enumerate(opening.open_model(str(tmp_path / "teacher.onnx")).model)
    for number in (1, 2, 3, 4):
        assert cuts.find(found, f"stage{number}").tensors == (f"stage{number}",)
