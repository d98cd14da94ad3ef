from hypothesis import given
from hypothesis import strategies as st

from isthmus.codec.planes import Layout, places
from isthmus.codec.table import REACH

LAYOUTS = st.builds(Layout, st.integers(1, 5), st.integers(1, 9), st.integers(1, 4), st.just(4))


@given(layout=LAYOUTS)
def test_every_cell_is_coded_once(layout: Layout) -> None:
    found = list(places(layout))
    assert len(found) == len(set(found)) == layout.size


@given(layout=LAYOUTS)
def test_what_a_table_may_look_at_in_earlier_channels_is_coded_before(layout: Layout) -> None:
    when = {place: index for index, place in enumerate(places(layout))}
    for channel, row, column in when:
        for earlier in range(channel):
            last = (earlier, min(row + REACH, layout.rows - 1), layout.columns - 1)
            assert when[last] < when[channel, row, column]


@given(layout=LAYOUTS)
def test_a_channel_is_coded_row_by_row_from_the_left(layout: Layout) -> None:
    found = list(places(layout))
    for channel in range(layout.channels):
        own = [place for place in found if place[0] == channel]
        assert own == sorted(own)
