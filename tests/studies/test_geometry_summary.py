"""Which points a study measures, and how values become medians, orders, rows and the noise that is chosen."""

import csv
import math

import pytest
import torch
from scipy import stats

from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry.groups.choice import Group, choose_groups
from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.groups.measuring import Geometry
from spurion.geometry.groups.results import NEEDED, MeasureResult
from spurion.geometry.groups.rows import write_rows
from spurion.geometry.groups.scan import scan
from spurion.geometry.groups.summary import left_out, middle, orders, rank_medians, reading
from spurion.geometry.hessian import curvature
from spurion.geometry.measured import STATUSES, Measured

NAN, D = math.nan, 16
SCHEDULE = DDPMSchedule()


def measured(values, statuses=None):
    numbers = torch.tensor(values, dtype=torch.float64)
    status = torch.zeros(len(values), dtype=torch.int64)
    for place, name in (statuses or {}).items():
        status[place], numbers[place] = STATUSES.index(name), NAN
    return Measured(numbers, status)


def groups_of(labels, *, most=4, least=3, seed=0, holdout=True):
    samples = torch.arange(20.0).unsqueeze(1)
    named = None if labels is None else torch.tensor(labels)
    held_out = torch.full((2, 1), -2.0) if holdout else None
    found = choose_groups(
        samples, named, torch.full((3, 1), -1.0), held_out, most=most, least=least, seed=seed
    )
    return {group.name: group for group in found}


def test_classes_are_drawn_at_random_and_small_ones_only_counted():
    labels = [0] * 10 + [1] * 2 + [2] * 8
    found = groups_of(labels)
    assert list(found) == ["memorized", "spurious", "generalized", "training", "held-out"]
    assert (found["memorized"].available, len(found["memorized"])) == (10, 4)
    assert (found["spurious"].available, len(found["spurious"])) == (2, 0)
    assert found["spurious"].size.model_dump() == {"available": 2, "measured": 0}
    assert (found["training"].available, len(found["training"])) == (
        3,
        3,
    )  # fewer than `least`, and yet chosen
    for name, number in (("memorized", 0), ("generalized", 2)):
        group = found[name]
        assert all(labels[i] == number for i in group.index.tolist())
        assert group.index.tolist() == sorted(set(group.index.tolist()))
        assert group.points.flatten().tolist() == group.index.tolist()


def test_a_class_of_just_enough_is_measured():
    labels = [0] * 3 + [1] * 2 + [2] * 15
    assert [len(group) for group in groups_of(labels).values()][:3] == [3, 0, 4]


def test_the_choice_is_that_of_the_seed():
    labels = [2] * 20
    chosen = [groups_of(labels, seed=seed)["generalized"].index.tolist() for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_without_labels_or_held_out_images_there_are_training_images():
    found = groups_of(None, holdout=False)
    assert {name: len(group) for name, group in found.items()} == {
        "memorized": 0,
        "spurious": 0,
        "generalized": 0,
        "training": 3,
    }


def test_first_keeps_points_with_their_indices():
    group = groups_of([2] * 20, most=15)["generalized"]
    few = group.first(5, seed=1)
    assert len(few) == 5
    assert set(few.index.tolist()) <= set(group.index.tolist())
    assert few.points.flatten().tolist() == few.index.tolist()
    assert (few.available, few.name) == (20, "generalized")
    assert len(group.first(99, seed=1)) == 15


def test_a_reading_is_a_median_with_counts():
    found = reading(measured([5.0, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0], {0: "failed"}))
    assert (found.value, found.n) == (3.5, 6)
    assert (found.low, found.high) == (1.0, 7.0)
    assert found.statuses == {"measured": 6, "failed": 1}


def test_never_and_always_have_their_place():
    never = reading(measured([0.0] * 9, dict.fromkeys(range(6), "never")))
    assert (never.value, never.low, never.n) == ("never", "never", 9)
    always = reading(measured([0.0] * 9, dict.fromkeys(range(6), "always")))
    assert (always.value, always.high) == ("always", "always")
    half = reading(measured([1.0] * 8, dict.fromkeys(range(3), "never")))
    assert (half.low, half.value) == ("never", 1.0)


def test_too_few_points_have_no_median():
    found = reading(measured([1.0] * 7, {0: "undecided", 1: "failed"}))
    assert (found.value, found.low, found.high, found.n) == (None, None, None, 5)


def test_the_least_number_for_a_median():
    assert reading(measured([1.0] * NEEDED)).value == 1
    assert reading(measured([1.0] * (NEEDED - 1))).value is None


def result(name, **groups):
    readings = {group.replace("_", "-"): reading(values) for group, values in groups.items()}
    return MeasureResult(name=name, unit="", source="", groups=readings)


def test_points_without_a_place_are_named():
    whole = measured([1.0] * 8, {0: "never", 1: "always"})
    holed = measured([1.0] * 8, {0: "undecided", 3: "failed"})
    one = measured([1.0] * 7, {2: "failed"})
    results = [
        result("critical-noise", memorized=whole, spurious=holed, held_out=one),
        result("soft-directions", memorized=whole),
        result("log-volume", memorized=whole, spurious=holed, held_out=one),
        result("log-density", spurious=one),
    ]
    assert left_out(results) == (
        "Undecided or failed, and so left out of medians and comparisons: critical-noise, log-volume: 2 of "
        "8 spurious points, 1 of 7 held-out points; log-density: 1 of 7 spurious points."
    )
    assert left_out(results[1:2]) == ""


def test_orders_go_the_way_that_is_expected():
    groups = {
        "memorized": measured([3.0] * 8),
        "spurious": measured([2.0] * 7),
        "generalized": measured([1.0] * 6),
    }
    down = orders(groups, descending=True)
    assert [(one.higher, one.lower) for one in down] == [
        ("memorized", "spurious"),
        ("spurious", "generalized"),
        ("memorized", "generalized"),
    ]
    assert [one.auc.value for one in down] == [1, 1, 1]
    assert down[1].n == (7, 6)
    up = orders(groups, descending=False)
    assert (up[0].higher, up[0].lower) == ("spurious", "memorized")
    assert [one.auc.value for one in up] == [0, 0, 0]
    assert all(one.p_value > 0.99 for one in up)


def test_orders_leave_out_what_is_missing_or_has_no_place():
    groups = {"memorized": measured([3.0] * 8), "generalized": measured([1.0] * 6)}
    assert [(one.higher, one.lower) for one in orders(groups, True)] == [("memorized", "generalized")]
    failed = {**groups, "generalized": measured([1.0] * 2, {0: "failed", 1: "undecided"})}
    assert orders(failed, True) == ()
    never = {**groups, "generalized": measured([9.0] * 2, {0: "never", 1: "never"})}
    assert orders(never, True)[0].auc.value == 1
    assert orders(groups, None) == ()


def test_the_middle_is_that_of_the_numbers():
    assert middle(torch.tensor([1.0, NAN, 3.0, 8.0])) == 3
    assert middle(torch.tensor([NAN])) is None
    assert middle(None) is None


def test_rows_hold_every_point(tmp_path):
    group = Group("spurious", 9, torch.tensor([3, 7]), torch.zeros(2, 1))
    geometry = Geometry()
    geometry.add("critical-noise", group, measured([0.1, 0.0], {1: "never"}))
    geometry.add("log-density", group.first(1, seed=0), measured([-2.5]))
    write_rows(tmp_path / "geometry.csv", geometry)
    with (tmp_path / "geometry.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["group", "index", "measure", "value", "status"]
    assert rows[1:3] == [
        ["spurious", "3", "critical-noise", "0.1", "measured"],
        ["spurious", "7", "critical-noise", "", "never"],
    ]
    assert rows[3][1] in {"3", "7"}
    assert rows[3][2:] == ["log-density", "-2.5", "measured"]


def test_the_scan_chooses_the_noise_between_two_scales():
    # Variances 1 and 1e-4: rho = s^2 / (variance + s^2), so the two kinds are farthest apart at s = 0.1.
    variances = torch.tensor([1.0] * 8 + [1e-4] * 8, dtype=torch.float64)
    model = GaussianDenoiser(torch.zeros(D, dtype=torch.float64), variances, SCHEDULE, (D,))
    config = GeometryConfig(scan=12)
    found = scan(model, torch.zeros(2, D, dtype=torch.float64), config, train_size=7, seed=0)
    nearest = min(found.noise, key=lambda noise: abs(math.log(noise / 0.1)))
    assert found.chosen_noise == nearest
    place = found.noise.index(nearest)
    assert found.chosen_time == found.times[place]
    assert found.soft_directions[place] == pytest.approx(8)
    gap = nearest**2 / (1e-4 + nearest**2) - nearest**2 / (1 + nearest**2)
    assert found.separation[place] == pytest.approx(0.25 * gap**2, rel=1e-6)
    assert (found.train_size, found.points, found.note) == (7, 2, "")


def test_a_scan_of_a_single_pattern_falls_back_and_says_so():
    model = ExactDenoiser(torch.zeros(1, D), SCHEDULE)
    found = scan(model, torch.zeros(1, D), GeometryConfig(scan=3), train_size=1, seed=0)
    assert found.note.startswith("No level separates soft from stiff directions")
    assert found.chosen_time == SCHEDULE.nearest(0.1)


def test_means_of_a_scan_have_their_intervals():
    # Two patterns of an exact denoiser: each of six points has its own spectrum.
    model = ExactDenoiser(torch.tensor([[-0.3] * D, [0.3] * D], dtype=torch.float64), SCHEDULE)
    points = torch.linspace(-0.3, 0.3, 6, dtype=torch.float64)[:, None].expand(-1, D)
    broken = torch.cat([points, torch.full((1, D), NAN, dtype=torch.float64)])
    found = scan(model, broken, GeometryConfig(scan=4), train_size=2, seed=0)
    for level, time in enumerate(found.times):
        values = curvature(model, points, time).flipd().values.numpy()
        low, high = stats.t.interval(0.95, 5, values.mean(), stats.sem(values))
        assert found.intrinsic_dimension[level] == pytest.approx(values.mean())
        assert found.intrinsic_dimension_low[level] == pytest.approx(low)
        assert found.intrinsic_dimension_high[level] == pytest.approx(high)
        assert found.separation_low[level] <= found.separation[level] <= found.separation_high[level]
        ends = found.soft_directions_low[level], found.soft_directions_high[level]
        assert sum(ends) / 2 == pytest.approx(found.soft_directions[level])


def test_one_point_has_a_mean_but_no_interval():
    model = ExactDenoiser(torch.zeros(1, D), SCHEDULE)
    found = scan(model, torch.zeros(1, D), GeometryConfig(scan=2), train_size=1, seed=0)
    assert found.soft_directions == (0.0, 0.0)
    assert found.soft_directions_low == found.separation_high == (None, None)


def test_medians_of_spectra_have_intervals():
    # Nine points: the interval of a median runs from the second to the eighth (see `median`).
    ranks = torch.arange(9.0, dtype=torch.float64)[:, None] + torch.tensor([0.0, 10.0], dtype=torch.float64)
    failed = torch.full((1, 2), torch.nan, dtype=torch.float64)
    medians, low, high = rank_medians(torch.cat([ranks, failed]))
    assert (medians, low, high) == ((4.0, 14.0), (1.0, 11.0), (7.0, 17.0))
    assert rank_medians(ranks[:3]) == ((1.0, 11.0), (), ())
    assert rank_medians(failed) == ((), (), ())
