"""Programs that are measured: what becomes of one that does not start."""

import gc

import pytest

from isthmus.bench.programs import Program
from isthmus.errors import TailUnavailable


def test_a_program_that_does_not_start_is_told_with_its_last_words_and_leaves_nothing_open():
    program = Program(["-c", "raise SystemExit('no room')"], ready="^ready", name="the echo")
    with pytest.raises(TailUnavailable, match=r"the echo did not start \(exit code 1\): no room"):
        program.__enter__()
    del program
    gc.collect()  # a file that is still open warns here, and warnings are errors
