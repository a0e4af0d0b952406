"""The bounds of the screen: true for every pair, and as narrow as promised."""

from fractions import Fraction

import pytest
import torch

from spurion.core.random import generator
from spurion.neighbors.distances.distance import subtracted
from spurion.neighbors.screen import Screen, _products_are_exact

DIM = 48


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


def bounds(screen, x, y):
    """Both bounds on all squared distances, in the units of the data."""
    x, y = screen.place(x), screen.place(y)
    product = screen.product(x, y)
    upper = screen.upper(product, x.squares[:, None], y.squares.expand(product.shape))
    lower = product.double() + ((1 - screen.slack) * x.squares)[:, None] - screen.underflow
    return lower * screen.scale**2, upper * screen.scale**2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", list(clouds()))
def test_bounds_hold_for_every_pair(name, dtype):
    x, y = clouds()[name]
    largest = float(torch.maximum(x.abs().max(), y.abs().max()))
    screen = Screen(*[getattr(Screen.of(x, y, largest), field) for field in ("center", "scale")], dtype)
    squares = torch.stack([subtracted(row.expand_as(y), y) for row in x]).square()
    lower, upper = bounds(screen, x, y)
    assert (lower <= squares).all()
    assert (squares <= upper).all()
    norms = (x.double() - screen.center).square().sum(1)[:, None] + (y.double() - screen.center).square().sum(
        1
    )
    floor = 3 * screen.underflow * screen.scale**2
    assert (upper - lower <= 2.1 * screen.slack * norms + floor).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_row_limit_lets_every_pair_up_to_it_pass(dtype):
    x, y = clouds()["near copies"]
    screen = Screen(torch.zeros(DIM, dtype=torch.float64), 8.0, dtype)
    placed = screen.place(x), screen.place(y)
    squares = screen.scaled_square(torch.stack([subtracted(row.expand_as(y), y) for row in x]))
    product = screen.product(*placed)
    for column in range(len(y)):  # the limit is exactly the distance to this column
        assert (product[:, column : column + 1] <= screen.lower_limit(placed[0], squares[:, column])).all()
    narrow = screen.lower_limit(placed[0], squares.amin(dim=1))
    # a pair passes only if its bound reaches the limit: squares up to the limit plus twice the slack
    reach = squares.amin(dim=1)[:, None] + 2.2 * screen.slack * (
        placed[0].squares[:, None] + placed[1].squares
    )
    assert (squares[product <= narrow] <= reach[product <= narrow]).all()


def test_infinite_limit_admits_finite_entries_only():
    x, y = clouds()["plain"]
    screen = Screen.of(x, y, 10.0)
    limit = screen.lower_limit(screen.place(x), torch.full((30,), torch.inf, dtype=torch.float64))
    assert limit.isfinite().all()
    assert (screen.product(screen.place(x), screen.place(y)) <= limit).all()


@pytest.mark.parametrize(("dtype", "bits"), [(torch.float32, 24), (torch.float64, 53)])
def test_slack_is_the_bound_of_the_docstring(dtype, bits):
    rounding = Fraction(DIM + 16, 2**bits)
    expected = Fraction(101, 100) * rounding / (1 - rounding) + 8 * (DIM + 16) * Fraction(1, 2**53)
    assert Screen(torch.zeros(DIM, dtype=torch.float64), 1.0, dtype).slack == pytest.approx(
        float(expected), rel=1e-12
    )


def test_underflow_is_the_bound_of_the_docstring():
    assert Screen(torch.zeros(DIM, dtype=torch.float64), 1.0, torch.float32).underflow == DIM * 2.0**-120


@pytest.mark.parametrize("largest", [0.0, 0.7, 1.0, 3e38])
def test_scaled_points_have_squares_that_fit(largest):
    x = torch.tensor([[largest, -largest]], dtype=torch.float64)
    screen = Screen.of(x, -x, largest)
    assert screen.place(x).rows.abs().max() <= 1
    assert screen.scale <= max(4 * largest, 1)


def test_center_is_the_mean_of_the_reference():
    reference = torch.randn(100, 3, generator=generator(0, "center")) + 50
    center = Screen.of(reference[:2], reference, 60.0).center
    assert torch.allclose(center, reference.double().mean(0), rtol=1e-12)
    assert torch.equal(Screen.of(reference, reference[:0], 60.0).center, torch.zeros(3, dtype=torch.float64))


def test_center_of_a_large_reference_is_taken_from_all_of_it():
    reference = torch.arange(5000.0)[:, None]
    assert float(Screen.of(reference, reference, 5000.0).center) == pytest.approx(2500, abs=10)


def test_placing_in_parts_changes_nothing():
    points = torch.randn(70, 5000, generator=generator(0, "parts"), dtype=torch.float64)
    screen = Screen.of(points, points, 10.0)
    whole, alone = screen.place(points), [screen.place(points[i : i + 1]) for i in range(70)]
    assert torch.equal(whole.rows, torch.cat([one.rows for one in alone]))
    assert torch.equal(whole.squares, torch.cat([one.squares for one in alone]))


def test_very_long_rows_are_screened_in_double_precision():
    assert Screen.of(torch.ones(1, 2**22 - 1), torch.ones(1, 2**22 - 1), 1.0).dtype == torch.float32
    assert Screen.of(torch.ones(1, 2**22), torch.ones(1, 2**22), 1.0).dtype == torch.float64


@pytest.mark.parametrize(
    ("backend", "precision", "device"),
    [(torch.backends.mkldnn.matmul, "bf16", "cpu"), (torch.backends.cuda.matmul, "tf32", "cuda")],
)
def test_low_precision_of_the_device_s_own_products_counts(backend, precision, device):
    other = {"cpu": "cuda", "cuda": "cpu"}[device]
    before = backend.fp32_precision
    try:
        backend.fp32_precision = precision
        assert not _products_are_exact(torch.device(device))
        assert _products_are_exact(torch.device(other))
        backend.fp32_precision = "ieee"
        assert _products_are_exact(torch.device(device))
    finally:
        backend.fp32_precision = before
