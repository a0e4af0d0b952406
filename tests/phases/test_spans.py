"""When a set of images has a narrower range than another one, to the last image."""

import pytest
import torch

from spurion.phases.spans import Span, copies_as_they_are, narrower, shrunken


def span(*ends):
    lows, highs = torch.tensor(ends).T
    return Span(lows, highs)


FULL = [(-1.0, 1.0)]


@pytest.mark.parametrize(
    ("ends", "other", "expected"),
    [
        ((-0.549, 0.55), (-1.0, 1.0), True),
        ((-0.56, 0.55), (-1.0, 1.0), False),
        ((-0.02, 1.0), (-0.25, 1.0), True),  # one-sided, and the other far beyond
        ((-0.03, 1.0), (-0.25, 1.0), False),
        ((-0.02, 1.0), (-0.24, 1.0), False),
        ((-1.0, 0.02), (-1.0, 0.25), True),
        ((-1.0, 0.03), (-1.0, 0.25), False),
        ((-1.0, 0.02), (-1.0, 0.24), False),
    ],
)
def test_half_a_range_or_one_side_of_middle_gray(ends, other, expected):
    assert narrower(span(*[ends] * 30), span(*[other] * 30)) is expected
    assert narrower(span(*[other] * 30), span(*[ends] * 30)) is False


def test_few_images_may_be_alike_by_chance():
    # Of 9 other images none lies within, so a share of 1/10 may: 4 / 10^3 is chance, and 5 / 10^4 is none.
    pale = (0.0, 0.5)
    assert [narrower(span(*[pale] * n), span(*FULL * 9)) for n in (2, 4, 5, 6)] == [False, False, True, True]
    # A share of 3/10: 11 * 0.3^10 is below a thousandth, and 7 * 0.3^6 is not.
    some = span(*FULL * 7, (0.1, 0.3), (0.0, 0.5))
    assert [narrower(span(*[pale] * n), some) for n in (7, 11)] == [False, True]


def test_what_most_of_the_others_are_is_usual():
    pale = (0.0, 0.5)
    for count, expected in ((73, True), (74, False)):  # 74/100 and 75/100 with the one that is added
        others = span(*[pale] * count, *FULL * (99 - count))
        assert narrower(span(*[pale] * 1000), others) is expected


def test_an_image_within_by_rounding_is_within():
    pale = span(*[(0.0, 0.5)] * 1000)
    for beyond, expected in ((0.009, False), (0.011, True)):  # 2 % of 0.5
        others = span(*[(0.0, 0.5 + beyond)] * 80, *FULL * 19)
        assert narrower(pale, others) is expected


def test_near_copies_are_more_than_half_of_the_samples():
    train = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    near, far = torch.tensor([0.1, 0.9]), torch.tensor([0.3, 0.6])
    for samples, expected in (((far, near, near), True), ((near, far), False), ((far, far, near), False)):
        nearest = torch.zeros(len(samples), dtype=torch.long)
        assert copies_as_they_are(torch.stack(samples), train, nearest) is expected
    # Of contrast 2 c^2 a tenth: c = 0.5 allows a squared difference of 0.05.
    assert copies_as_they_are(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.15, 0.85]]), torch.tensor([0]))
    assert not copies_as_they_are(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.17, 0.83]]), torch.tensor([0]))


def test_a_few_images_at_either_end_are_no_range():
    full, half, wrong = (-1.0, 1.0), (0.0, 1.0), (-1.0, 1.0)
    for count, expected in ((1, True), (5, True), (6, False)):  # 5 % of 100
        assert narrower(span(*[half] * (100 - count), *[wrong] * count), span(*[full] * 50)) is expected


def count(ends, others):
    return int(shrunken(span(*ends), span(*others)).sum())


def test_half_a_set_of_shrunken_images():
    full, small, flat = (-1.0, 1.0), (-0.35, 1.0), (-0.35, 0.0)
    for some, expected in ((52, 52), (51, 51), (50, 0)):  # half of 100, and twice 1/201
        assert count([small] * some + [full] * (100 - some), FULL * 200) == expected
    assert count([(-0.41, 1.0)] * 100, FULL * 200) == 0  # more than 0.7 of the range
    assert count([flat] * 100, FULL * 200) == 0  # less than 0.2 of it
    assert count([(0.3, 0.3)] * 100, [(0.1, 0.1)] * 100) == 0  # nothing has a contrast


@pytest.mark.parametrize("half", [(0.0, 1.0), (-1.0, 0.0)])
def test_a_tenth_of_a_set_in_one_half_of_the_range(half):
    full = (-1.0, 1.0)
    for some, expected in ((11, 11), (10, 0)):
        assert count([half] * some + [full] * (100 - some), FULL * 999) == expected
    assert count([(-0.1, 1.0)] * 30 + [full] * 70, FULL * 999) == 0  # on both sides of middle gray
    # A fifth of the others is so too: a tenth and two fifths more are needed.
    others = [half] * 199 + [full] * 800
    assert [count([half] * some + [full] * (100 - some), others) for some in (50, 51)] == [50, 51]
    assert count([half] * 49 + [full] * 51, others) == 0


def test_few_shrunken_images_are_chance():
    # The share of the others may be 1/10: 4 / 10^3 is chance, and 5 / 10^4 is none.
    assert [count([(-0.2, 1.0)] * n, FULL * 9) for n in (4, 5)] == [0, 5]
