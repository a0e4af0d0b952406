"""When a set of images has a narrower range than another one, to the last image."""

import pytest
import torch

from spurion.phases.spans import Span, copies_as_they_are, narrower


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
