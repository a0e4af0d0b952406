"""What an audit says of real images, of the leak and of what lies beyond chance, from numbers as they are."""

import pytest
import torch

from spurion import audit
from spurion.audits.checks import checked
from spurion.audits.claims import of_kind
from spurion.core.random import generator
from spurion.phases.reality import Uneven
from spurion.statistics.intervals import Interval


def images(count, name):
    return torch.rand(count, 1, 1, 6, generator=generator(0, "reality claims", name)) * 2 - 1


@pytest.fixture(scope="module")
def found():
    train = images(200, "train")
    return audit(train, torch.cat([images(280, "samples"), train[:20]]), images(150, "holdout"))


def with_real(found, **values):
    return checked(found.model_copy(update={"real": found.real.model_copy(update=values)}))


def one(found, kind):
    (claim,) = of_kind(found.claims, kind)
    return claim


def test_honest_real_images_give_no_warning(found):
    kinds = {"near_copies", "no_law", "unstable_dimension", "dense_group", "wide_repetitions"}
    assert not of_kind(found.claims, *kinds)


def test_near_copies_forbid_a_pass_only_where_they_set_the_threshold(found):
    many = one(with_real(found, near_copies=8, near_copies_p_value=0.001), "near_copies")
    assert many.sentence.startswith(
        "Of the 150 held-out images that set the thresholds, 8 are near copies of another one, more than"
    )
    assert many.forbids == ("pass", "few")
    few = one(with_real(found, near_copies=1, near_copies_p_value=0.001), "near_copies")
    assert "1 is a near copy of another one" in few.sentence
    assert few.forbids == ()
    assert not of_kind(with_real(found, near_copies=8, near_copies_p_value=0.02).claims, "near_copies")


def test_a_threshold_without_a_law_says_which(found):
    fit = found.thresholds.null.model_copy(update={"lawful": (True, False)})
    thresholds = found.thresholds.model_copy(update={"null": fit})
    claim = one(checked(found.model_copy(update={"thresholds": thresholds})), "no_law")
    assert "so the spurious threshold is read off the few nearest of 150 images, and rests" in claim.sentence


def test_a_dense_group_says_how_many_times(found):
    uneven = Uneven(share=0.1, rate=0.2, overall=0.05, p_value=1e-5)
    claim = one(with_real(found, uneven=uneven), "dense_group")
    assert "of a group of 10% of the real images, 4 times as many" in claim.sentence
    assert claim.numbers["times"] == pytest.approx(4)
    chance = uneven.model_copy(update={"p_value": 0.02})
    assert not of_kind(with_real(found, uneven=chance).claims, "dense_group")


def test_an_unstable_dimension_says_by_what_factor(found):
    assert "by a factor of 1.3." in one(with_real(found, shift=1.3), "unstable_dimension").sentence
    assert not of_kind(with_real(found, shift=1.1).claims, "unstable_dimension")


def test_wide_repetitions_are_those_beyond_half_and_beyond_the_spurious_ones(found):
    wide = checked(found.model_copy(update={"near_each_other": 0.8}))
    assert one(wide, "wide_repetitions").numbers["near_each_other"] == 0.8
    assert not of_kind(checked(found.model_copy(update={"near_each_other": 0.55})).claims, "wide_repetitions")
    rest = 1 - found.fractions.memorized.value
    spurious = Interval(value=0.1 * rest, low=0.0, high=0.2)
    shares = found.fractions.model_copy(update={"spurious": spurious})
    told = checked(found.model_copy(update={"near_each_other": 0.6, "fractions": shares}))
    assert not of_kind(told.claims, "wide_repetitions")  # .2 beyond half, of which .1 are called spurious


def test_the_power_against_jitter_is_stated(found):
    claim = one(found, "jitter")
    assert claim.numbers == {"spurious": found.thresholds.spurious, "typical": found.real.typical}
    assert "of the distance that half of 300 real images have" in claim.sentence


def test_still_leaking_where_the_interval_excludes_half(found):
    def at(low):
        share = Interval(value=0.7, low=low, high=0.8)
        null = found.null.model_copy(update={"share_closer_to_train": share})
        return checked(found.model_copy(update={"null": null}))

    claim = one(at(0.6), "still_leaking")
    assert claim.numbers == {
        "leak_excess": pytest.approx(0.4),
        "low": pytest.approx(0.2),
        "high": pytest.approx(0.6),
    }
    assert "70% (95% interval 60% to 80%) lie closer to the training set" in claim.sentence
    assert not of_kind(at(0.5).claims, "still_leaking")


def test_the_excess_risk_and_the_list_are_said_together(found):
    claim = one(found, "excess_risk")
    assert claim.numbers == {"excess": found.excess.value, "listed": len(found.listed)}
    assert set(range(280, 300)) <= set(found.listed)  # the copies
    assert (
        f"{len(found.listed)} are listed as copies, at most 5% of them wrongly, on average" in claim.sentence
    )


def test_the_excess_is_beyond_the_images_that_thresholds_hang_on():
    """Repeated held-out images count once, and too few of them not at all."""
    train, samples = images(200, "train"), images(100, "samples")
    held_out = images(150, "holdout")
    once = audit(train, samples, held_out)
    twice = audit(train, samples, torch.cat([held_out, held_out[:75]]))
    assert twice.excess == once.excess
    few, none = audit(train, samples, held_out[:20]), audit(train, samples)
    assert few.excess == none.excess != once.excess
    assert "training images among themselves" in one(few, "excess_risk").sentence


def test_one_near_sample_casts_no_doubt_on_copies_that_are_equal(found):
    exact, (_, spurious, _) = len(found.exact_copies), found.counts
    counts = (exact + 1, spurious, found.sample_size - exact - 1 - spurious)
    told = checked(found.model_copy(update={"counts": counts}))
    assert one(told, "chance").numbers["doubtful"] == 1
    assert (told.near_in_doubt, told.only_near) == (True, False)
