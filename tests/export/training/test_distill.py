import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from isthmus.contract.boundary import CodeTensor
from isthmus.contract.prepare import Preparation
from isthmus.errors import Diverged, ExportError, UsageError
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.samples import Samples, prepared
from isthmus.export.training import loss as losses
from isthmus.export.training import recipe
from isthmus.export.training import run as running
from isthmus.export.training.distill import TrainingSettings, learn
from isthmus.export.training.pace import Pace
from isthmus.export.training.tariff import Tariff

PREPARATION = Preparation(width=16, height=16)
SETTINGS = TrainingSettings(steps=20, batch=8)
RENEW = Tariff.renew


@pytest.fixture(autouse=True)
def _one_pace(monkeypatch):
    """The measured pace may differ from run to run, and with it the last bit."""
    monkeypatch.setattr(
        running, "fastest", lambda step: (step(way := Pace(threads=1, half_precision=False, step_s=0.01)), way)[1]
    )


@pytest.fixture(scope="module")
def halves(residual_source):
    return split(residual_source.model, cuts.find(cuts.enumerate(residual_source.model), "relu"))


@pytest.fixture(scope="module")
def pictures():
    return gradients(40, labels=np.arange(40) % 5, names=tuple("abcde"))


def gradients(count, labels=None, names=()):
    """Pictures with something to learn in them: ramps of random direction and colour."""
    random = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(np.arange(16), np.arange(16)), axis=-1)
    ramps = [(grid @ random.uniform(-8, 8, (2, 3)) + random.uniform(0, 255, 3)).clip(0, 255) for _ in range(count)]
    return Samples(pictures=[ramp.astype(np.uint8) for ramp in ramps], labels=labels, names=names, origin="ramps")


def run(halves, samples, on_progress=lambda _progress: None, **changed):
    """Train, and hear of the steps alone."""
    arguments = {"channels": 4, "bits": 4, "settings": SETTINGS, **changed}
    return learn(halves, samples, PREPARATION, on_progress=lambda one: one.loss is None or on_progress(one), **arguments)


def weights(learned):
    parts = {"encoder": learned.encoder, "decoder": learned.decoder, "tail": learned.tail}
    return {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}


def with_rate(learning_rate):
    made = recipe.load()
    moved = [
        stage.model_copy(update={"optimiser": stage.optimiser.model_copy(update={"learning_rate": learning_rate})})
        for stage in made.stages
    ]
    return made.model_copy(update={"stages": tuple(moved)})


def assert_same_weights(one, other):
    mine, theirs = weights(one), weights(other)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []


def interrupting(at):
    def on_progress(progress):
        if progress.step == at:
            raise KeyboardInterrupt

    return on_progress


def test_training_lowers_the_loss_of_both_stages(halves, pictures):
    seen = {"features": [], "distillation": []}
    run(
        halves,
        pictures,
        settings=TrainingSettings(steps=80, batch=16),
        on_progress=lambda progress: seen[progress.stage].append(progress.loss),
    )
    assert [len(found) for found in seen.values()] == [48, 32]
    for stage, found in seen.items():
        assert 0 < np.mean(found[-5:]) < 0.9 * np.mean(found[:5]), stage


def test_what_comes_back_is_trained_and_in_eval_mode(halves, pictures):
    learned = run(halves, pictures, bits=3)
    assert (learned.steps, learned.interrupted, learned.code_range, learned.grid) == (20, False, (-4, 3), (4, 4))
    assert not learned.encoder.training
    assert not learned.decoder.training
    codes = learned.encoder(torch.rand(2, 3, 16, 16))
    assert learned.decoder(codes).shape == (2, 8, 8, 8)


def test_the_same_seed_gives_the_same_weights_and_another_one_others(halves, pictures):
    first, again = run(halves, pictures), run(halves, pictures)
    other = run(halves, pictures, settings=TrainingSettings(steps=20, batch=8, seed=1))
    assert_same_weights(first, again)
    assert first.losses == again.losses
    assert not torch.equal(first.encoder.gain, other.encoder.gain)


@pytest.mark.parametrize("at", [1, 7, 13, 20])
def test_a_run_that_was_interrupted_and_resumed_ends_at_the_same_bits(halves, pictures, tmp_path, at):
    checkpoint = tmp_path / "deeper" / "run.checkpoint"
    partly = run(halves, pictures, checkpoint=checkpoint, on_progress=interrupting(at))
    assert (partly.interrupted, partly.steps) == (True, at)
    resumed = run(halves, pictures, checkpoint=checkpoint, resume=True)
    assert (resumed.interrupted, resumed.steps) == (False, 20)
    assert_same_weights(resumed, run(halves, pictures))
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_ctrl_c_in_the_middle_of_a_step_lets_the_step_end(halves, pictures, tmp_path, monkeypatch, ctrl_c):
    calls = []
    real = losses.functional.mse_loss

    def loss(*arguments):
        calls.append(1)
        if len(calls) == 9:  # the batch norms of this step have seen their pictures, the weights have not moved
            signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(losses.functional, "mse_loss", loss)
    partly = run(halves, pictures, checkpoint=tmp_path / "c")
    assert partly.interrupted
    assert signal.getsignal(signal.SIGINT) is ctrl_c
    assert_same_weights(run(halves, pictures, checkpoint=tmp_path / "c", resume=True), run(halves, pictures))


def test_a_resumed_run_keeps_its_pace_and_steps(halves, pictures, tmp_path, monkeypatch):
    run(halves, pictures, checkpoint=tmp_path / "c", on_progress=interrupting(3))
    monkeypatch.setattr(running, "fastest", lambda _step: pytest.fail("the pace was measured again"))
    seen = []
    other = TrainingSettings(budget_s=1.0, batch=8)
    run(halves, pictures, settings=other, checkpoint=tmp_path / "c", resume=True, on_progress=seen.append)
    assert [progress.step for progress in seen] == list(range(4, 21))
    assert {progress.steps for progress in seen} == {20}


def test_measuring_the_pace_leaves_the_weights_alone(halves, pictures, monkeypatch):
    before = run(halves, pictures)
    pace = Pace(threads=1, half_precision=False)
    monkeypatch.setattr(running, "fastest", lambda step: [step(pace), step(pace), step(pace), pace][-1])
    assert_same_weights(before, run(halves, pictures))


def test_a_budget_becomes_steps_by_the_measured_pace(halves, pictures):
    # 30 steps by the pinned pace; fewer, but at least the least, where this machine is slower than that.
    assert 20 <= run(halves, pictures, settings=TrainingSettings(budget_s=0.3, batch=8)).steps <= 30


def test_without_resume_an_old_checkpoint_is_not_read(halves, pictures, tmp_path):
    (tmp_path / "c").write_bytes(b"something else")
    assert run(halves, pictures, checkpoint=tmp_path / "c").steps == 20


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"bits": 5}, r"code range \(-8, 7\), this training \(-16, 15\)"),
        ({"settings": TrainingSettings(steps=20, batch=8, seed=4)}, "seed 0, this training 4"),
        ({"settings": TrainingSettings(steps=20, batch=4)}, "batch 8, this training 4"),
        ({"channels": 5}, "size mismatch"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_in_one_line(halves, pictures, tmp_path, changed, difference):
    run(halves, pictures, checkpoint=tmp_path / "c", on_progress=interrupting(2))
    with pytest.raises(ExportError, match=f"does not fit this training .*{difference}.*leave out --resume") as refused:
        run(halves, pictures, checkpoint=tmp_path / "c", resume=True, **changed)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_of_other_pictures_is_refused(halves, pictures, tmp_path):
    run(halves, pictures, checkpoint=tmp_path / "c", on_progress=interrupting(2))
    with pytest.raises(ExportError, match="pictures 40, this training 12"):
        run(halves, gradients(12), checkpoint=tmp_path / "c", resume=True)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", b"text"])
def test_a_damaged_checkpoint_is_refused_in_one_line(halves, pictures, tmp_path, content):
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(ExportError, match="cannot be read") as refused:
        run(halves, pictures, checkpoint=tmp_path / "c", resume=True)
    assert "\n" not in str(refused.value)


def with_labels():
    made = recipe.load()
    last = made.stages[-1].model_copy(update={"answers": recipe.Answers(labels=0.3)})
    return made.model_copy(update={"views": recipe.Views(), "stages": (*made.stages[:-1], last)})


def test_labels_of_another_number_of_classes_are_not_trained_on(halves):
    settings = replace(SETTINGS, recipe=with_labels())
    unlabelled = run(halves, gradients(16), settings=settings)
    foreign = run(halves, gradients(16, labels=np.arange(16) % 8, names=tuple("abcdefgh")), settings=settings)
    own = run(halves, gradients(16, labels=np.arange(16) % 5, names=tuple("abcde")), settings=settings)
    assert_same_weights(unlabelled, foreign)
    assert not torch.equal(unlabelled.decoder.scale, own.decoder.scale)


def test_a_cut_of_two_tensors_is_refused_in_one_line(residual_source, pictures):
    found = cuts.enumerate(residual_source.model)
    two = split(residual_source.model, next(cut for cut in found if len(cut.tensors) == 2))
    with pytest.raises(ExportError, match=r"a learned bottleneck needs a cut of one tensor, here 2 cross \(.*\)") as refused:
        run(two, pictures)
    assert "\n" not in str(refused.value)


def test_a_cut_that_is_no_map_is_refused(handmade, pictures):
    flat = split(handmade["skip"], cuts.find(cuts.enumerate(handmade["skip"]), "flat"))
    with pytest.raises(ExportError, match=r"needs a tensor \[batch, channel, row, column\], flat is"):
        run(flat, pictures)


def test_a_network_of_a_fixed_batch_is_refused(model_of, pictures):
    text = "n (float[1, 3, 16, 16] x) => (float[1, 3, 16, 16] y) { t = Relu (x) y = Softmax <axis = 0> (t) }"
    model = model_of(text)
    with pytest.raises(ExportError, match=r"x is fixed to .*use --bottleneck none"):
        run(split(model, cuts.find(cuts.enumerate(model), "t")), pictures)


def test_one_picture_is_too_few(halves):
    with pytest.raises(ExportError, match="at least 2 pictures, got 1"):
        run(halves, gradients(1))


def test_a_loss_that_leaves_the_numbers_is_named(halves, pictures):
    with pytest.raises(Diverged, match=r"training diverged at step \d+ \(loss (nan|inf)\); lower the learning rate"):
        run(halves, pictures, settings=replace(SETTINGS, recipe=with_rate(1e30)))


def payload_bits(learned, samples):
    """Mean bits of a code by tables that were learned from other pictures."""
    with torch.no_grad():
        codes = learned.encoder(torch.from_numpy(prepared(samples.pictures, PREPARATION)))
    tariff = Tariff(CodeTensor(name="codes", shape=tuple(codes.shape[1:]), bits=4))
    codes = codes.clamp(*learned.code_range).round()
    tariff.renew(codes[::2])
    return float(tariff.bits(codes[1::2]))


def test_a_rate_weight_makes_codes_cheaper(halves, pictures):
    found = [
        payload_bits(run(halves, pictures, settings=TrainingSettings(steps=240, batch=8, rate_weight=weight)), gradients(80))
        for weight in (0.0, 4.0)
    ]
    assert found[1] < 0.85 * found[0]


def test_a_resumed_training_goes_on_by_the_same_tables(halves, pictures, tmp_path):
    priced = replace(SETTINGS, rate_weight=0.5)
    run(halves, pictures, settings=priced, checkpoint=tmp_path / "c", on_progress=interrupting(15))
    resumed = run(halves, pictures, settings=priced, checkpoint=tmp_path / "c", resume=True)
    assert_same_weights(resumed, run(halves, pictures, settings=priced))


def test_tables_follow_the_codes_while_they_are_trained(halves, pictures, monkeypatch):
    seen = []
    monkeypatch.setattr(running, "RENEW_EVERY", 5)
    monkeypatch.setattr(Tariff, "renew", lambda tariff, codes: seen.append(codes) or RENEW(tariff, codes))
    run(halves, pictures, settings=replace(SETTINGS, rate_weight=0.5))
    assert len(seen) == 2  # at steps 10 and 15: the first stage has no rate
    assert not torch.equal(*seen)


NESTED = replace(SETTINGS, nested=True)
STEERED = replace(SETTINGS, target_bytes=24)


def error_of_prefix(learned, samples, channels):
    """Mean squared distance of what the first channels restore from what the best trained decoder of all of them does."""
    with torch.no_grad():
        codes = learned.encoder(torch.from_numpy(prepared(samples.pictures, PREPARATION))).clamp(*learned.code_range).round()
        whole = learned.decoder(codes)
        codes[:, channels:] = 0
        return float((learned.decoder(codes) - whole).square().mean() / whole.var())


def test_nested_channels_need_the_others_less(halves, pictures):
    long = replace(SETTINGS, steps=150)
    plain, nested = (
        error_of_prefix(run(halves, pictures, settings=one), pictures, 1) for one in (long, replace(long, nested=True))
    )
    assert nested < 0.6 * plain


@pytest.mark.parametrize("settings", [NESTED, STEERED, replace(NESTED, target_bytes=24)])
def test_nested_and_steered_runs_resume_to_the_same_bits(halves, pictures, tmp_path, settings, monkeypatch):
    monkeypatch.setattr(running, "RENEW_EVERY", 5)
    run(halves, pictures, settings=settings, checkpoint=tmp_path / "c", on_progress=interrupting(13))
    resumed = run(halves, pictures, settings=settings, checkpoint=tmp_path / "c", resume=True)
    wanted = run(halves, pictures, settings=settings)
    assert_same_weights(resumed, wanted)
    assert resumed.rate_weight == wanted.rate_weight


def test_a_number_of_bytes_moves_the_weight_of_the_rate(halves, pictures):
    few, many = (run(halves, pictures, settings=replace(SETTINGS, steps=60, target_bytes=size)).rate_weight for size in (12, 30))
    assert few > 2 * many
    assert run(halves, pictures).rate_weight is None


def test_a_number_of_bytes_that_cannot_be_is_refused_before_the_network_is_asked(halves, pictures):
    with pytest.raises(UsageError, match="64 codes of 4 bits never take 40 bytes, at most 32"):
        learn(
            halves,
            pictures,
            PREPARATION,
            channels=4,
            bits=4,
            settings=replace(SETTINGS, target_bytes=40),
            on_progress=lambda _one: pytest.fail("the unsplit network was asked"),
        )


def test_an_encoder_that_learns_on_grids_of_8_bits_learns_something_else(halves, pictures, tmp_path):
    made = recipe.load()
    on_grids = made.model_copy(update={"stages": (made.stages[0], made.stages[1].model_copy(update={"int8": True}))})
    settings = replace(SETTINGS, recipe=on_grids)
    run(halves, pictures, settings=settings, checkpoint=tmp_path / "c", on_progress=interrupting(15))
    resumed = run(halves, pictures, settings=settings, checkpoint=tmp_path / "c", resume=True)
    assert_same_weights(resumed, run(halves, pictures, settings=settings))
    assert not torch.equal(resumed.encoder.gain, run(halves, pictures).encoder.gain)
