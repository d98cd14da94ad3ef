import numpy as np
import pytest
import torch

from isthmus.codec import analysis
from isthmus.codec.analysis import Batch
from isthmus.codec.training import train_table
from isthmus.contract.boundary import CodeTensor
from isthmus.errors import BundleError, ContractMismatch, ExportError
from isthmus.export.training.tariff import CHANNELS_MAX, Tariff, spread

TENSOR = CodeTensor(name="codes", shape=(2, 5, 6), bits=4)


def ramps(seed, count=10):
    """float32[count, 2, 5, 6] rounded codes that go along with their neighbours."""
    random = np.random.default_rng(seed)
    walks = random.normal(0, 1, (count, *TENSOR.shape)).cumsum(-1).cumsum(-2)
    return torch.from_numpy(np.clip(np.rint(walks), -8, 7).astype(np.float32))


def test_there_is_no_price_before_there_are_tables() -> None:
    tariff = Tariff(TENSOR)
    assert not tariff.is_set
    assert tariff.bits(ramps(0)).item() == 0


def test_the_price_is_what_tables_of_these_codes_say() -> None:
    tariff, learned, priced = Tariff(TENSOR), ramps(0), ramps(1)
    tariff.renew(learned)
    table = train_table(Batch(learned.numpy().astype(np.int32) + 8), 4)
    wanted = analysis.bits(Batch(priced.numpy().astype(np.int32) + 8), table).mean()
    assert tariff.bits(priced).item() == pytest.approx(wanted, rel=1e-6)


def test_the_price_has_a_gradient() -> None:
    tariff, codes = Tariff(TENSOR), ramps(1).requires_grad_()
    tariff.renew(ramps(0))
    tariff.bits(codes).backward()
    assert codes.grad.abs().sum() > 0


def test_tables_come_back_as_they_were_kept() -> None:
    tariff, other = Tariff(TENSOR), Tariff(TENSOR)
    other.restore(tariff.state())
    assert not other.is_set
    tariff.renew(ramps(0))
    other.restore(tariff.state())
    assert other.bits(ramps(1)).item() == tariff.bits(ramps(1)).item()


def test_foreign_words_are_refused() -> None:
    tariff = Tariff(TENSOR)
    tariff.renew(ramps(0))
    with pytest.raises(BundleError):
        Tariff(TENSOR).restore(tariff.state()[:-1])
    with pytest.raises(ContractMismatch, match="2 channels of 4 bits"):
        Tariff(TENSOR.model_copy(update={"bits": 5})).restore(tariff.state())


def test_wide_tensors_have_none() -> None:
    with pytest.raises(ExportError, match="up to 64 channels, this one has 65"):
        Tariff(TENSOR.model_copy(update={"shape": (CHANNELS_MAX + 1, 5, 6)}))


@pytest.mark.parametrize(("count", "taken"), [(3, 3), (64, 64), (1000, 64)])
def test_tables_are_learned_from_first_to_last_picture(count, taken) -> None:
    found = spread(count)
    assert (len(set(found)), found[0], found[-1]) == (taken, 0, count - 1)
