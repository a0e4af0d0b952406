from functools import partial

from spurion.core.progress import shifted, silent


def test_progress_is_named_and_shifted():
    seen = []
    stage = partial(lambda *told: seen.append(told), "K = 2", "sample")
    part = shifted(stage, 6, 9)
    part(1, 3)
    part(2)
    assert seen == [("K = 2", "sample", 7, 9), ("K = 2", "sample", 8, 9)]


def test_silence_takes_anything():
    for told in ((1, 2), ("sample", 1, 2), ("K = 2", "sample", 1, 2)):
        assert silent(*told) is None
