"""The bounds of every screen: true for every pair, and as narrow as promised."""

from fractions import Fraction

import pytest
import torch

from spurion.core.random import generator
from spurion.neighbors.distances.distance import subtracted
from spurion.neighbors.rows import Rows
from spurion.neighbors.screen import GROUP, TINY, FloatScreen, middle, slack_of, unit
from spurion.neighbors.screens import (
    GRIDS,
    ByteScreen,
    HalfScreen,
    bytes_are_exact,
    floats_are_exact,
    halves_are_summed_in_float32,
    screens_for,
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
    screen, x, _, distances = placed(name, case)
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


def test_scores_of_bytes_are_the_squares_themselves():
    x, y = pictures()["in [0, 255]"]
    screen = screen_of("int8", x, y)
    points = screen.place(Rows(x), slice(None)), screen.place(Rows(y), slice(None))
    scores = screen.scores(*points)[: len(x), : len(y)]
    squares = torch.stack([subtracted(row.expand_as(y), y) for row in x]).square().round()
    assert torch.equal(scores.double() + points[0].squares[: len(x), None], squares)


def test_bytes_of_the_largest_size_fit():
    dim = 2**15
    x, y = torch.zeros(2, dim), torch.full((2, dim), 255.0)
    screen = ByteScreen(torch.full((dim,), 128.0, dtype=torch.float64), 1.0)
    points = screen.place(Rows(x), slice(None)), screen.place(Rows(y), slice(None))
    squares = screen.scores(*points)[:2, :2].double() + points[0].squares[:2, None]
    assert (squares == dim * 255**2).all()


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
    assert FloatScreen(center, 1.0, precision).slack == pytest.approx(float(expected), rel=1e-12)
    single = FloatScreen(center, 1.0).slack
    assert HalfScreen(center, 1.0).slack == pytest.approx(single + 2.0**-7, rel=1e-12)
    assert ByteScreen(center, 1.0).slack == slack_of(DIM, 0.0) == pytest.approx(8 * 64 * 2.0**-53, rel=1e-12)


def test_underflow_is_the_bound_of_the_docstring():
    assert FloatScreen(torch.zeros(DIM, dtype=torch.float64), 1.0).underflow == DIM * 2.0**-120


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
    screen = (
        HalfScreen(center, 32.0) if name == "bfloat16" else FloatScreen(center, 32.0, getattr(torch, name))
    )
    whole = screen.place(Rows(points), slice(None))
    alone = [screen.place(Rows(points), slice(i, i + 1)) for i in range(70)]
    assert torch.equal(whole.rows[:70], torch.cat([one.rows[:1] for one in alone]))
    assert torch.equal(whole.squares[:70], torch.cat([one.squares[:1] for one in alone]))


class TestChoice:
    @staticmethod
    def names(x, y, engine="auto"):
        surveys = survey(Rows(x), "queries"), survey(Rows(y), "reference")
        return [screen.name for screen in screens_for(Rows(y), surveys, engine)]

    @pytest.fixture
    def fast(self, monkeypatch):
        """A machine with all instructions."""
        for name in ("halves_are_fast", "bytes_are_fast"):
            monkeypatch.setattr(f"spurion.neighbors.screens.{name}", lambda device: True)

    @pytest.fixture
    def slow(self, monkeypatch):
        """A machine with none."""
        for name in ("halves_are_fast", "bytes_are_fast"):
            monkeypatch.setattr(f"spurion.neighbors.screens.{name}", lambda device: False)

    def test_fast_machine(self, fast):
        assert self.names(*clouds()["plain"]) == ["bfloat16", "float32", "float64"]
        assert self.names(*pictures()["in [-1, 1]"]) == ["int8", "float64"]

    def test_slow_machine(self, slow):
        assert self.names(*clouds()["plain"]) == ["float32", "float64"]
        assert self.names(*pictures()["in [-1, 1]"]) == ["float32", "float64"]
        assert self.names(*pictures()["in [-1, 1]"], "int8") == ["int8", "float64"]
        assert self.names(*clouds()["plain"], "bfloat16") == ["bfloat16", "float32", "float64"]

    def test_both_sides_must_be_on_the_same_grid(self, fast):
        bytes_, ones = pictures()["in [-1, 1]"][0], pictures()["in [0, 1]"][0]
        assert self.names(bytes_, ones)[0] != "int8"
        assert self.names(bytes_, clouds()["plain"][1].float())[0] != "int8"
        assert self.names(clouds()["plain"][1].float(), bytes_)[0] != "int8"
        off = bytes_.clone()
        off[3, 4] += 1e-4  # an 80th of a step
        assert self.names(off, bytes_)[0] != "int8"
        beyond = bytes_.clone()
        beyond[0, 0] = 1 + 1 / 127.5
        assert self.names(beyond, bytes_)[0] != "int8"

    def test_explicit_engines(self):
        x, y = clouds()["plain"]
        assert self.names(x, y, "float64") == ["float64"]
        assert self.names(x, y, "float32") == self.names(x, y, "faiss") == ["float32", "float64"]
        with pytest.raises(ValueError, match="`engine` int8 needs 8-bit images of at most 32768 numbers"):
            self.names(x, y, "int8")
        with pytest.raises(ValueError, match="`engine` must be one of auto, .*, faiss, got 'fast'"):
            self.names(x, y, "fast")

    def test_very_long_rows_are_screened_in_double_precision(self, fast):
        rows = torch.ones(1, 2**22) * 0.3
        assert self.names(rows, rows) == ["float64"]
        assert self.names(rows[:, 1:], rows[:, 1:]) == ["bfloat16", "float32", "float64"]
        with pytest.raises(ValueError, match="`engine` bfloat16 is not to be had"):
            self.names(rows, rows, "bfloat16")
        ones = torch.ones(1, 2**15 + 1)
        assert self.names(ones, ones)[0] == "bfloat16"
        assert self.names(ones[:, 1:], ones[:, 1:])[0] == "int8"

    def test_short_rows_are_not_halved(self, fast):
        rows = torch.full((1, 31), 0.3)
        assert self.names(rows, rows)[0] == "float32"
        assert self.names(rows.expand(1, 31).repeat(1, 2)[:, :32], rows.repeat(1, 2)[:, :32])[0] == "bfloat16"

    def test_products_that_are_not_what_they_should_be(self, fast, monkeypatch):
        monkeypatch.setattr("spurion.neighbors.screens.bytes_are_exact", lambda device: False)
        monkeypatch.setattr("spurion.neighbors.screens.halves_are_summed_in_float32", lambda device: False)
        assert self.names(*pictures()["in [-1, 1]"]) == ["float32", "float64"]
        with pytest.raises(ValueError, match="`engine` int8"):
            self.names(*pictures()["in [-1, 1]"], "int8")
        with pytest.raises(ValueError, match="`engine` bfloat16"):
            self.names(*clouds()["plain"], "bfloat16")


def test_probes_notice_inexact_products(monkeypatch):
    assert bytes_are_exact(CPU)
    assert halves_are_summed_in_float32(CPU)
    saturating = lambda x, y: (x.int() @ y.int()).clamp(max=2**15 - 1)  # noqa: E731
    monkeypatch.setattr(torch, "_int_mm", saturating)
    assert not bytes_are_exact.__wrapped__(CPU)
    product = torch.mm

    def in_steps(x, y):  # 1,024 terms at a time, the sum kept in eight bits
        total = torch.zeros(x.shape[0], y.shape[1], dtype=x.dtype)
        for start in range(0, x.shape[1], 1024):
            total += product(x[:, start : start + 1024].float(), y[start : start + 1024].float()).to(x.dtype)
        return total

    monkeypatch.setattr(torch, "mm", in_steps)
    assert not halves_are_summed_in_float32.__wrapped__(CPU)


@pytest.mark.parametrize(
    ("backend", "precision", "device"),
    [(torch.backends.mkldnn.matmul, "bf16", "cpu"), (torch.backends.cuda.matmul, "tf32", "cuda")],
)
def test_low_precision_of_the_device_s_own_products_counts(backend, precision, device):
    other = {"cpu": "cuda", "cuda": "cpu"}[device]
    before = backend.fp32_precision
    try:
        backend.fp32_precision = precision
        assert not floats_are_exact(torch.device(device))
        assert floats_are_exact(torch.device(other))
        backend.fp32_precision = "ieee"
        assert floats_are_exact(torch.device(device))
    finally:
        backend.fp32_precision = before
