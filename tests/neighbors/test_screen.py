"""The bounds of every screen: true for every pair, and as narrow as promised."""

from fractions import Fraction
from types import SimpleNamespace

import pytest
import torch

from spurion.core.random import generator
from spurion.neighbors import bounds as screen_module
from spurion.neighbors.bounds import (
    GROUP,
    TINY,
    FloatScreen,
    middle,
    multiplied,
    onednn_multiplies_exactly,
    slack_of,
    unit,
)
from spurion.neighbors.distances.distance import subtracted
from spurion.neighbors.rows import PART_ELEMENTS, Rows
from spurion.neighbors.screens import (
    GRIDS,
    ByteScreen,
    HalfScreen,
    survey,
)

DIM = 48
CPU = torch.device("cpu")
PLAIN = {"float32", "float64", "bfloat16"}


def clouds():
    g = generator(0, "clouds")
    x = torch.randn(30, DIM, generator=g, dtype=torch.float64)
    y = torch.randn(40, DIM, generator=g, dtype=torch.float64)
    near = x[:20] + 1e-9 * torch.randn(20, DIM, generator=g, dtype=torch.float64)
    return {
        "plain": (x, y),
        "near copies": (x, torch.cat([near, x[20:]])),
        "far from zero": (x + 1e6, torch.cat([near, y]) + 1e6),
        "huge": (1e100 * x, 1e100 * y),
        "tiny": (1e-60 * x, 1e-60 * y),
        "mixed sizes": (x * torch.logspace(-20, 3, 30)[:, None], y),
        "constant": (torch.ones(5, DIM), torch.ones(7, DIM)),
        "opposite": (torch.full((3, DIM), 1e4), torch.full((3, DIM), -1e4)),
    }


def pictures():
    g = generator(0, "pictures")
    x = torch.randint(0, 256, (30, DIM), generator=g)
    y = torch.cat([x[:10], torch.randint(0, 256, (30, DIM), generator=g)])
    ends = torch.tensor([0, 255]).repeat(2, DIM // 2)
    return {
        "in [-1, 1]": (x / 127.5 - 1, y / 127.5 - 1),
        "in [0, 1]": (x / 255, y / 255),
        "in [0, 255]": (x.float(), y.float()),
        "double": (x.double() / 127.5 - 1, y / 127.5 - 1),
        "extremes": (ends / 127.5 - 1, ends.flip(1) / 127.5 - 1),
    }


def screen_of(name, x, y):
    size = max(survey(Rows(each), "queries").largest for each in (x, y))
    if name == "int8":
        grids = survey(Rows(x), "queries").grids & survey(Rows(y), "reference").grids
        center, step = GRIDS[min(grids)]
        return ByteScreen(torch.full((DIM,), center, dtype=torch.float64), step)
    center = middle(Rows(y))
    if name == "bfloat16":
        return HalfScreen(center, unit(size))
    return FloatScreen(center, unit(size), getattr(torch, name))


CASES = [(name, case) for name in sorted(PLAIN) for case in clouds()]
CASES += [("int8", case) for case in pictures()]


def placed(name, case):
    x, y = (clouds() | pictures())[case]
    screen = screen_of(name, x, y)
    points = screen.place(Rows(x), slice(None)), screen.place(Rows(y), slice(None))
    distances = torch.stack([subtracted(row.expand_as(y), y) for row in x])
    return screen, *points, distances


@pytest.mark.parametrize(("name", "case"), CASES)
def test_bounds_hold_for_every_pair(name, case):
    screen, x, y, distances = placed(name, case)
    n, m = distances.shape
    scores = screen.scores(x, y)[:n, :m]
    residuals = x.residuals[:n, None] + y.residuals[:m]
    ceiling = screen.ceiling(distances, x.squares[:n, None], residuals)
    assert (scores <= ceiling).all()  # a pair is within its own distance
    upper = screen.farthest(scores, x.squares[:n, None], y.squares[:m].expand(n, m), residuals)
    assert (distances <= upper).all()


@pytest.mark.parametrize(("name", "case"), CASES)
def test_bounds_are_as_narrow_as_promised(name, case):
    screen, x, y, distances = placed(name, case)
    n, m = distances.shape
    scores = screen.scores(x, y)[:n, :m]
    residuals = x.residuals[:n, None] + y.residuals[:m]
    norms = x.squares[:n, None] + y.squares[:m]
    # at this distance from the truth, and not nearer, a pair is excluded
    narrower = distances / screen.scale - 2 * residuals - TINY
    wide = 2 * screen.slack * norms + 2 * screen.underflow
    nearer = (narrower.clamp(min=0).square() - wide).clamp(min=0).sqrt() * screen.scale * (1 - screen.margin)
    limit = nearer * (1 - 1e-9) - 1e-9 * screen.scale * screen.margin
    excluded = scores > screen.ceiling(limit.clamp(min=0), x.squares[:n, None], residuals)
    assert excluded[limit > 0].all()
    upper = screen.farthest(scores, x.squares[:n, None], y.squares[:m].expand(n, m), residuals)
    reach = ((distances / screen.scale + residuals).square() + wide).sqrt() + residuals
    assert (upper <= reach * screen.scale * (1 + 3 * screen.margin)).all()


@pytest.mark.parametrize(("name", "case"), CASES)
def test_residuals_are_those_of_rounding(name, case):
    screen, x, _, _ = placed(name, case)
    values = (clouds() | pictures())[case][0].double()
    back = x.rows[: len(values), :DIM].double() * screen.scale + screen.center
    away = (back - values).square().sum(dim=1).sqrt()
    norms = (values - screen.center).square().sum(dim=1).sqrt()
    # computing `back` itself errs by some roundoffs of the largest coordinate
    rounding = 8 * torch.finfo(torch.float64).eps * float(values.abs().max()) * DIM**0.5
    assert (away <= x.residuals[: len(values)] * screen.scale + rounding).all()
    relative = {"float32": 2.0**-24, "float64": 0.0, "bfloat16": 2.0**-8, "int8": 0.0}[name]
    constant = {"int8": 2.0**-13 * DIM**0.5}.get(name, screen.centering + screen.underflow)
    allowed = relative * norms + constant * screen.scale
    assert (x.residuals[: len(values)] * screen.scale <= 1.01 * allowed).all()


@pytest.mark.parametrize("name", sorted(PLAIN | {"int8"}))
def test_points_at_infinity_fill_up(name):
    x, y = pictures()["in [-1, 1]"]
    screen = screen_of(name, x, y)
    points = screen.place(Rows(y), slice(3, 40))
    assert points.size == 37
    assert len(points.rows) == 2 * GROUP
    scores = screen.scores(screen.place(Rows(x), slice(None)), points)
    top = torch.inf if scores.is_floating_point() else torch.iinfo(torch.int32).max
    assert (scores[:, 37:] == top).all()
    assert (scores[: len(x), :37] < top).all()
    part = points.part(32, 37)
    assert (part.size, len(part.rows)) == (5, GROUP)
    assert torch.equal(part.squares[:5], points.squares[32:37])


def test_products_without_the_faster_library_are_the_same_to_rounding(monkeypatch):
    x, y = (torch.randn(count, DIM, generator=generator(0, "product", count)) for count in (70, 300))
    expected = x.double() @ y.double().T
    norms = x.double().norm(dim=1)[:, None] * y.double().norm(dim=1)
    for has_it in (True, False):
        monkeypatch.setattr(screen_module, "onednn_multiplies_exactly", lambda answer=has_it: answer)
        error = (multiplied(x, y).double() - expected).abs()
        assert (error <= DIM * 2.0**-24 * norms).all()  # the bound of the module


def test_a_faster_library_that_is_absent_or_keeps_fewer_digits_is_noticed(monkeypatch):
    probe = onednn_multiplies_exactly.__wrapped__
    halved = lambda x, y, *rest: (x.bfloat16() @ y.bfloat16().T).float()  # noqa: E731
    for replacement in (SimpleNamespace(), SimpleNamespace(_linear_pointwise=halved)):
        monkeypatch.setattr(torch.ops, "mkldnn", replacement)
        assert not probe()
    right = SimpleNamespace(_linear_pointwise=lambda x, y, *rest: x @ y.T)
    monkeypatch.setattr(torch.ops, "mkldnn", right)
    assert probe()
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not probe()


def test_scores_of_bytes_are_the_squares_themselves():
    x, y = pictures()["in [0, 255]"]
    screen = screen_of("int8", x, y)
    points = screen.place(Rows(x), slice(None)), screen.place(Rows(y), slice(None))
    scores = screen.scores(*points)[: len(x), : len(y)]
    squares = torch.stack([subtracted(row.expand_as(y), y) for row in x]).square().round()
    assert torch.equal(scores.double() + points[0].squares[: len(x), None], squares)


@pytest.mark.parametrize(("center", "step"), GRIDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_level_is_farther_from_its_grid_than_its_residual(center, step, dtype):
    """One coordinate, all levels, rounded as other programs do: what float32 errs in is in the residual."""
    levels = torch.arange(-128.0, 128.0, dtype=torch.float64)[:, None]
    for away in (0.0, 2.0**-12, -(2.0**-12)):
        points = (center + (levels + away) * step).to(dtype)
        screen = ByteScreen(torch.full((1,), center, dtype=torch.float64), step)
        placed = screen.place(Rows(points), slice(None))
        true = (points.double() - center) / step - placed.rows[:, :1].double()
        assert (true.abs()[:, 0] <= placed.residuals).all()
        assert placed.residuals.max() <= abs(away) + 2.0**-13


def test_bytes_of_the_largest_size_fit():
    dim = 2**15
    x, y = torch.zeros(2, dim), torch.full((2, dim), 255.0)
    screen = ByteScreen(torch.full((dim,), 128.0, dtype=torch.float64), 1.0)
    points = screen.place(Rows(x), slice(None)), screen.place(Rows(y), slice(None))
    squares = screen.scores(*points)[:2, :2].double() + points[0].squares[:2, None]
    assert (squares == dim * 255**2).all()


def test_bytes_are_aligned():
    x = torch.randint(0, 256, (5, 50), generator=generator(0, "aligned")).float()
    screen = ByteScreen(torch.full((50,), 128.0, dtype=torch.float64), 1.0)
    points = screen.place(Rows(x), slice(None))
    assert points.rows.shape == (GROUP, 56)
    assert torch.equal(points.rows[:5, :50], (x - 128).to(torch.int8))
    assert not points.rows[:, 50:].any()


def test_infinite_limit_admits_all():
    x, y = clouds()["plain"]
    screen = screen_of("float32", x, y)
    points = screen.place(Rows(x), slice(None))
    limit = torch.full((30,), torch.inf, dtype=torch.float64)
    assert (screen.ceiling(limit, points.squares[:30], points.residuals[:30]) == torch.inf).all()


@pytest.mark.parametrize(("precision", "bits"), [(torch.float32, 24), (torch.float64, 53)])
def test_slack_is_the_bound_of_the_docstring(precision, bits):
    rounding = Fraction(DIM + 16, 2**bits)
    expected = Fraction(101, 100) * rounding / (1 - rounding) + 8 * (DIM + 16) * Fraction(1, 2**53)
    center = torch.zeros(DIM, dtype=torch.float64)
    assert FloatScreen(center, 1.0, precision).slack == pytest.approx(float(expected), rel=1e-12, abs=0)
    single = FloatScreen(center, 1.0).slack
    assert HalfScreen(center, 1.0).slack == pytest.approx(single + 2.0**-7, rel=1e-12, abs=0)
    assert (
        ByteScreen(center, 1.0).slack
        == slack_of(DIM, 0.0)
        == pytest.approx(8 * 64 * 2.0**-53, rel=1e-12, abs=0)
    )


def test_underflow_and_margins():
    screen = FloatScreen(torch.zeros(DIM, dtype=torch.float64), 1.0)
    zero = torch.zeros(1, dtype=torch.float64)
    assert screen.underflow == DIM * 2.0**-120
    assert float(screen.ceiling(zero, zero, zero)) == DIM * 2.0**-120  # TINY squared is far less
    assert float(screen.ceiling(zero, zero, zero + 3)) == pytest.approx(9, rel=1e-15)
    assert float(screen.ceiling(zero + 2, zero + 1, zero + 3)) == pytest.approx(24 + screen.slack, rel=1e-12)
    assert screen.margin == 4 * (DIM + 16) * 2.0**-53
    assert screen.centering == pytest.approx(DIM**0.5 * 2.0**-51, rel=1e-12, abs=0)


@pytest.mark.parametrize("largest", [0.0, 0.7, 1.0, 3e38])
def test_scaled_points_have_squares_that_fit(largest):
    x = torch.tensor([[largest, -largest]], dtype=torch.float64)
    screen = FloatScreen(middle(Rows(-x)), unit(largest))
    assert screen.place(Rows(x), slice(None)).rows.abs().max() <= 1
    assert screen.scale <= max(4 * largest, 1)


def test_center_is_the_mean_of_the_reference():
    reference = torch.randn(100, 3, generator=generator(0, "center")) + 50
    assert torch.allclose(middle(Rows(reference)), reference.double().mean(0), rtol=1e-12)
    assert torch.equal(middle(Rows(reference[:0])), torch.zeros(3, dtype=torch.float64))


def test_center_of_a_large_reference_is_taken_from_all_of_it():
    assert float(middle(Rows(torch.arange(5000.0)[:, None]))) == pytest.approx(2500, abs=10)


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_placing_in_parts_changes_nothing(name):
    points = torch.randn(70, 5000, generator=generator(0, "parts"), dtype=torch.float64)
    center = middle(Rows(points))
    screens = [HalfScreen(center, 32.0), FloatScreen(center, 32.0), FloatScreen(center, 32.0, torch.float64)]
    screen = next(each for each in screens if each.name == name)
    whole = screen.place(Rows(points), slice(None))
    alone = [screen.place(Rows(points), slice(i, i + 1)) for i in range(70)]
    assert torch.equal(whole.rows[:70], torch.cat([one.rows[:1] for one in alone]))
    assert torch.equal(whole.squares[:70], torch.cat([one.squares[:1] for one in alone]))


def test_center_is_taken_in_parts(monkeypatch):
    taken, take = [], Rows.take

    def counting(self, indices):
        taken.append(len(indices) * self.dim)
        return take(self, indices)

    monkeypatch.setattr(Rows, "take", counting)
    reference = torch.randn(1200, 3000, generator=generator(0, "large"))
    center = middle(Rows(reference))
    assert max(taken) <= PART_ELEMENTS
    assert sum(taken) == 600 * 3000
    assert torch.allclose(center, reference[::2].double().mean(0), rtol=0, atol=1e-12)
