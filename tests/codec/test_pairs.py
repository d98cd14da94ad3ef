import numpy as np

from isthmus.codec.pairs import make_pairs

STILLS = np.random.default_rng(0).integers(0, 16, (60, 3, 12, 12), dtype=np.int32)


def test_most_of_a_made_up_earlier_frame_is_the_frame_itself() -> None:
    batch = make_pairs(STILLS, 4)
    assert batch.now is STILLS
    assert batch.reference.shape == STILLS.shape
    assert 0.6 < (batch.reference == STILLS).mean() < 0.98


def test_earlier_frames_stay_within_their_bits_and_are_the_same_every_time() -> None:
    reference = make_pairs(STILLS, 4).reference
    assert 0 <= reference.min() <= reference.max() <= 15
    assert (make_pairs(STILLS, 4).reference == reference).all()


def test_planes_of_one_cell_and_single_frames_have_pairs_too() -> None:
    assert make_pairs(np.ones((1, 5, 1, 1), np.int32), 1).reference.shape == (1, 5, 1, 1)
