import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.codec import analysis
from isthmus.codec.analysis import Batch
from isthmus.codec.pairs import make_pairs
from isthmus.codec.training import train_table
from isthmus.contract.boundary import CodeTensor
from isthmus.errors import ContractMismatch
from isthmus.export.training.rate import Rate

TENSOR = CodeTensor(name="codes", shape=(3, 6, 5), bits=4)


def smooth(seed, shape, bits, count=12):
    """int32[count, *shape] symbols that go along with their neighbours."""
    random = np.random.default_rng(seed)
    walk = random.normal(0, 1, (count, *shape)).cumsum(axis=-1).cumsum(axis=1) + random.normal(0, 0.3, (count, *shape))
    return np.clip(np.rint(walk + (1 << bits - 1)), 0, (1 << bits) - 1).astype(np.int32)


def trained(seed=0, tensor=TENSOR, *, temporal=False):
    frames = smooth(seed, tensor.shape, tensor.bits)
    return train_table(make_pairs(frames, tensor.bits) if temporal else Batch(frames), tensor.bits)


def as_codes(symbols, tensor=TENSOR):
    return torch.from_numpy(symbols + tensor.lowest).float()


@given(
    seed=st.integers(0, 1000),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)),
    depth=st.integers(1, 8),
    temporal=st.booleans(),
    surprising=st.booleans(),
)
@settings(max_examples=40)
def test_whole_codes_cost_what_the_codec_says(seed, shape, depth, temporal, surprising) -> None:
    tensor = CodeTensor(name="codes", shape=shape, bits=depth)
    table = trained(seed, tensor, temporal=temporal)
    now, before = smooth(seed + 1, shape, depth, 3), smooth(seed + 2, shape, depth, 3)
    if surprising:
        now = np.random.default_rng(seed).integers(0, 1 << depth, now.shape, dtype=np.int32)
    found = Rate(tensor, table)(as_codes(now, tensor), as_codes(before, tensor) if temporal else None)
    wanted = analysis.bits(Batch(now, before if temporal else None), table)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=1e-9)


def test_codes_that_are_not_whole_cost_what_they_are_rounded_to() -> None:
    rate, codes = Rate(TENSOR, trained()), as_codes(smooth(5, TENSOR.shape, 4))
    moved = codes + 0.4 * torch.rand(codes.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(rate(moved), rate(codes))


def test_the_leading_channels_of_an_operating_point_are_taken() -> None:
    table = trained(tensor=TENSOR.model_copy(update={"shape": (2, 6, 5)}))
    frames = smooth(5, TENSOR.shape, 4)
    found = Rate(TENSOR, table)(as_codes(frames))
    np.testing.assert_allclose(found.numpy(), analysis.bits(Batch(frames[:, :2]), table), atol=1e-9)


def test_tokens_and_vectors_are_planes_too() -> None:
    tensor = CodeTensor(name="tokens", shape=(3, 9), bits=5)
    frames = smooth(1, (3, 1, 9), 5)
    table = train_table(Batch(frames), 5)
    found = Rate(tensor, table)(as_codes(frames[:, :, 0], tensor))
    np.testing.assert_allclose(found.numpy(), analysis.bits(Batch(frames), table), atol=1e-9)


@pytest.mark.parametrize("temporal", [False, True])
def test_going_down_the_gradient_makes_codes_cheaper(temporal) -> None:
    rate = Rate(TENSOR, trained(temporal=temporal))
    reference = as_codes(smooth(3, TENSOR.shape, 4, 4))
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(0))
    codes = (reference + 1.5 * noise).requires_grad_()
    before = rate(codes, reference).sum().item()
    optimiser = torch.optim.Adam([codes], lr=0.1)
    for _ in range(40):
        optimiser.zero_grad()
        rate(codes, reference).sum().backward()
        optimiser.step()
    assert rate(codes, reference).sum().item() < 0.7 * before


def test_a_code_learns_through_what_it_predicts() -> None:
    """The last symbol of a channel predicts none; the first one does."""
    rate = Rate(TENSOR, trained())
    codes = as_codes(smooth(8, TENSOR.shape, 4, 1)).requires_grad_()
    costs = rate(codes)
    (through,) = torch.autograd.grad(costs[0, 0, 1].sum(), codes)
    assert through[0, 0, 0].abs().sum() > 0
    assert through[0, 0, 2:].abs().sum() == 0


def test_a_temporal_table_needs_a_reference() -> None:
    with pytest.raises(ContractMismatch, match="give both"):
        Rate(TENSOR, trained(temporal=True))(as_codes(smooth(0, TENSOR.shape, 4)))


@pytest.mark.parametrize("changed", [{"bits": 5}, {"shape": (2, 6, 5)}])
def test_a_table_of_another_tensor_is_refused(changed) -> None:
    with pytest.raises(ContractMismatch, match="3 channels of 4 bits"):
        Rate(TENSOR.model_copy(update=changed), trained())


def test_tables_can_lie_on_other_devices_as_any_module() -> None:
    assert {name.rpartition(".")[2] for name, _ in Rate(TENSOR, trained()).named_buffers()} >= {"kernel", "offset", "_costs"}
