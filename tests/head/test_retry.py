import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from isthmus.head.retry import retry_delays


@given(quick_s=st.floats(0, 20), max_s=st.floats(0.1, 60), seed=st.integers())
def test_pauses_are_short_at_first_then_grow_and_never_pass_the_maximum(quick_s, max_s, seed):
    delays = retry_delays(quick_s=quick_s, longest_s=max_s, random_source=random.Random(seed))
    pauses = list(itertools.islice(delays, 300))
    elapsed = list(itertools.accumulate(pauses, initial=0.0))
    quick = [pause for pause, before in zip(pauses, elapsed, strict=False) if before < quick_s]
    assert all(0.1 <= pause <= 0.5 for pause in quick)
    assert all(min(0.5, max_s) <= pause <= max_s for pause in pauses[len(quick) :])
    assert all(pause <= 2**number for number, pause in enumerate(pauses[len(quick) :]))
