"""What a grid says, where the truth was planted."""

import math

import pytest
from scipy.stats import t as student

from grid.grid_study import lasting, planted, widening
from spurion.grid.reading import near_share
from spurion.statistics.spread import mean_interval, mean_of_logs

WIDTHS = {"denoiser.width": (32, 64, 128)}
SIZES = (2, 8, 16, 32, 64, 128, 256, 512)


def said(grid, kind):
    return [claim.sentence for claim in grid.claims if claim.kind == kind]


def test_capacities_grow_with_the_width():
    grid = planted(WIDTHS, (0,), widening, sizes=SIZES)
    values = [cell.capacities.memorization.value for cell in grid.cells]
    assert 16 <= values[0] < 32 <= values[1] < 64 <= values[2] < 128
    first = said(grid, "capacity_moves")[0]
    shown = ", ".join(f"{value:,.0f}" for value in values)
    assert first == f"Over denoiser.width, the memorization capacity grows: K = {shown} at 32, 64, 128."
    (claim,) = [c for c in grid.claims if c.sentence == first]
    assert claim.numbers == pytest.approx({"32": values[0], "64": values[1], "128": values[2]})
    assert grid.settings == ()


def test_falling_level_and_unordered_capacities():
    def shares(order):
        def found(values, seed, k):
            return (1.0, 0.0) if k <= order[values["denoiser.width"]] else (0.0, 0.0)

        return found

    for order, word in (
        ({32: 64, 64: 32, 128: 16}, "falls"),
        ({32: 32, 64: 32, 128: 32}, "stays the same"),
        ({32: 32, 64: 64, 128: 16}, "goes up and down"),
        ({32: 16, 64: 16, 128: 32}, "grows"),
    ):
        grid = planted(WIDTHS, (0,), shares(order), sizes=SIZES)
        assert f"the memorization capacity {word}: K = " in said(grid, "capacity_moves")[0]


def test_a_capacity_beyond_the_training_sizes_is_said_to_be():
    def always(values, seed, k):
        return (1.0, 0.0) if values["denoiser.width"] == 128 or k < 10 else (0.0, 0.0)

    grid = planted(WIDTHS, (0,), always, sizes=SIZES)
    assert said(grid, "capacity_open")[0].endswith("only: K = 9 at 32 and K = 9 at 64; not at 128.")


def test_means_over_seeds_and_in_how_many_the_order_holds():
    grid = planted(WIDTHS, (0, 1, 2), widening, sizes=SIZES)
    assert len(grid.cells) == 9
    assert len(grid.settings) == 3
    values = [cell.capacities.memorization.value for cell in grid.at({"denoiser.width": 32})]
    logs = [math.log(value) for value in values]
    mean = sum(logs) / 3
    error = math.sqrt(sum((one - mean) ** 2 for one in logs) / 2 / 3)
    spread = grid.settings[0].capacities["memorization"]
    assert spread.value == pytest.approx(math.exp(mean))
    assert spread.high == pytest.approx(math.exp(mean + student.ppf(0.975, 2) * error))
    assert "and so it does in 3 of 3 seeds." in said(grid, "capacity_moves")[0]
    (limit,) = said(grid, "seeds")
    assert "of the mean over 3 trainings" in limit


def test_one_seed_in_which_the_order_differs():
    def shares(values, seed, k):
        width = values["denoiser.width"]
        last = {32: 8, 64: 128, 128: 32}[width] if seed == 1 else width
        return (1.0, 0.0) if k <= last else (0.0, 0.0)

    grid = planted(WIDTHS, (0, 1, 2), shares, sizes=SIZES)
    assert "and so it does in 2 of 3 seeds." in said(grid, "capacity_moves")[0]


def test_a_mean_needs_every_seed():
    def shares(values, seed, k):
        return (1.0, 0.0) if seed == 1 or k <= 16 else (0.0, 0.0)

    grid = planted(WIDTHS, (0, 1), shares, sizes=SIZES)
    spread = grid.settings[0].capacities["memorization"]
    assert (spread.value, spread.found) == (None, 1)


def test_memorization_sets_in_later_with_more_images():
    steps = {"training.iterations": (200, 400, 800, 1600, 3200)}
    grid = planted(steps, (0,), lasting, near=lambda v, s, k: 0.95 if v["training.iterations"] > 200 else 0.1,
                   sizes=(2, 8, 16, 64))  # fmt: skip
    found = {(one.what, one.level, one.train_size): (one.step, one.before) for one in grid.onsets}
    assert found["memorized", 0.5, 2] == (200, None)
    assert found["memorized", 0.5, 8] == (800, 400)
    assert found["memorized", 0.5, 16] == (1600, 800)
    assert found["memorized", 0.5, 64] == (None, 3200)
    assert found["memorized", 0.1, 64] == (3200, 1600)
    assert found["near", 0.9, 64] == (400, 200)
    (onset,) = said(grid, "memorization_onset")
    assert onset == (
        "Half of the samples are memorized first at step 200 (K = 2), 800 (K = 8), and 1,600 (K = 16); by "
        "step 3,200 not at K = 64. It sets in later the more training images there are."
    )
    (quality,) = said(grid, "quality_onset")
    assert quality.startswith("90% of the samples lie as near")
    assert quality.endswith("images do first at step 400 (K = 2, 8, 16, and 64).")
    (limit,) = said(grid, "one_training")
    assert "one training to step 3,200, whose learning rate falls to 0 only at the last step" in limit


@pytest.mark.parametrize(
    ("steps_of", "sentence"),
    [
        (lambda k: 400, "The steps read do not tell whether it sets in later"),
        (lambda k: 800 if k < 16 else 200, "It does not set in later the more"),
        (lambda k: 9999, "At no training size half of the samples are memorized by step 800."),
    ],
)
def test_other_courses_are_not_called_later(steps_of, sentence):
    def shares(values, seed, k):
        return (1.0, 0.0) if values["training.iterations"] >= steps_of(k) else (0.0, 0.0)

    grid = planted({"training.iterations": (200, 400, 800)}, (0,), shares)
    assert sentence in said(grid, "memorization_onset")[0]
    assert said(grid, "quality_onset") == []


def test_onsets_of_every_seed_and_of_their_mean():
    def shares(values, seed, k):
        return (1.0 if values["training.iterations"] >= 200 * (1 + seed) else 0.0, 0.0)

    grid = planted({"training.iterations": (200, 400, 600)}, (0, 1, 2), shares, sizes=(2,))
    steps = {one.seed: one.step for one in grid.onsets if one.level == 0.5 and one.what == "memorized"}
    assert steps == {None: 400, 0: 200, 1: 400, 2: 600}


def test_failures_are_named():
    grid = planted(WIDTHS, (0,), lambda v, s, k: None if k == 16 else widening(v, s, k), message="boom")
    assert len(grid.said("warning")) == 3
    assert grid.said("warning")[0] == "cells/seed=0, K = 16 failed: boom."


def test_every_result_says_what_does_not_follow():
    grid = planted(WIDTHS, (0,), widening)
    assert {claim.kind for claim in grid.claims if claim.severity == "limit"} == {"seeds", "held"}
    assert all(claim.title for claim in grid.claims if claim.severity == "limit")
    assert "One seed was run" in said(grid, "seeds")[0]


def test_near_share():
    import torch

    held_out = torch.arange(1.0, 101.0).double()  # 95 of them lie within 95
    assert near_share(torch.tensor([95.0, 95.5]).double(), held_out).value == 0.5
    assert near_share(held_out, held_out).value == 0.95
    assert near_share(torch.tensor([95.0]).double(), held_out[:0]) is None


def test_student_s_interval():
    values = [1.0, 2.0, 4.0, 5.0]
    found = mean_interval(values)
    # mean 3, standard deviation sqrt(10 / 3), t_3(0.975) = 3.182446
    assert found.value == 3.0
    assert found.high == pytest.approx(3 + 3.182446 * math.sqrt(10 / 3) / 2, rel=1e-6)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert mean_interval(values, 2.5, 3.5).low == 2.5
    assert mean_interval(values, 2.5, 3.5).high == 3.5
    assert mean_of_logs([50.0, 200.0]).value == pytest.approx(100)
    with pytest.raises(ValueError, match="at least two values, got 1"):
        mean_interval([1.0])
    with pytest.raises(ValueError, match="must be positive, got 0"):
        mean_of_logs([0.0, 1.0])
