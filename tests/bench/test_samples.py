import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.bench import samples
from isthmus.bench.samples import Samples
from isthmus.errors import ConfigError

HEADER = ",".join(samples.COLUMNS)


def drawn(count: int, seed: int = 0) -> Samples:
    random = np.random.default_rng(seed)
    return Samples(
        start=np.sort(random.integers(0, 3, count)),
        sequence=np.arange(count),
        latency_ms=random.random(count).round(4),
        payload_bytes=random.integers(0, 9999, count).astype(float),
        right=random.choice([0, 1, np.nan], count),
    )


@given(counts=st.lists(st.integers(0, 20), min_size=1, max_size=4))
def test_what_was_written_is_read_again(tmp_path_factory, counts):
    path = tmp_path_factory.mktemp("samples") / "samples.csv"
    rows = [drawn(count, seed) for seed, count in enumerate(counts)]
    samples.write(path, rows)
    for one, other in zip(rows, samples.read(path, len(rows)), strict=True):
        for name in Samples.__slots__:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "row,start\n",
        f"{HEADER}\n0,0,0\n",
        f"{HEADER}\n9,0,0,1.0,5,1\n",
        f"{HEADER}\n-1,0,0,1.0,5,1\n",
        f"{HEADER}\n0,0,0,inf,5,1\n",
        f"{HEADER}\n0,0,0,slow,5,1\n",
        f"{HEADER}\n1e300,0,0,1,5,1\n",
        "\udc80",
    ],
)
def test_what_holds_no_samples_is_one_line_of_ours(tmp_path, text):
    path = tmp_path / "samples.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=r"samples\.csv") as caught:
        samples.read(path, 2)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        samples.read(tmp_path / "samples.csv", 1)
