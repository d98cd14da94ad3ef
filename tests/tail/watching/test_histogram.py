import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isthmus.tail.watching.histogram import Histogram, quantile

BOUNDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
VALUES = st.lists(st.floats(0.6, 100.0), min_size=1, max_size=50)


@given(values=VALUES, share=st.floats(0.01, 1.0))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values, share):
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.observe(value)
    true = float(np.quantile(values, share, method="inverted_cdf"))
    guessed = quantile(BOUNDS, histogram.counts, share)
    edges = (0.5, *BOUNDS)
    bucket = next(index for index, bound in enumerate(BOUNDS) if true <= bound)
    assert edges[bucket] * (1 - 1e-9) <= guessed <= edges[bucket + 1] * (1 + 1e-9)


def test_nothing_counted_has_no_quantile():
    assert quantile(BOUNDS, Histogram(BOUNDS).counts, 0.5) is None


def test_a_value_beyond_all_bounds_is_told_as_the_greatest_bound():
    histogram = Histogram(BOUNDS)
    histogram.observe(1e9)
    assert quantile(BOUNDS, histogram.counts, 0.5) == 100.0


def test_buckets_are_cumulative_and_a_value_on_a_bound_lies_below_it():
    histogram = Histogram((1.0, 2.0))
    for value in (1.0, 1.5, 9.0):
        histogram.observe(value)
    assert histogram.buckets() == [("1.0", 1), ("2.0", 2), ("+Inf", 3)]
    assert histogram.total == 11.5
