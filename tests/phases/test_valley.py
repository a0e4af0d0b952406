"""The valley: found where there is one, refused where there is none."""

import math

import pytest
import torch

from spurion.core.random import generator
from spurion.phases.valley import Valley, _Candidate, _objection, valley

ONE_MODE = "the histogram of log distance has one mode"
SHALLOW = "the valley in the histogram of log distance is less than half as deep as it could be"
OVERLAPPING = "the two modes in the histogram of log distance are not separated (Ashman's D is 2 or less)"
MINOR = "the valley in the histogram of log distance explains less than half of its variance"


def draws(name):
    g = generator(0, "valley", name)

    def normal(n):
        return torch.randn(n, generator=g, dtype=torch.float64)

    def uniform(n):
        return torch.rand(n, generator=g, dtype=torch.float64)

    return normal, uniform


def one_mode(name, n, repeat):
    """A sample of one mode, on the scale of distances."""
    normal, uniform = draws(f"{name} {repeat}")
    ratio = normal(n) / normal(n)
    return {
        "lognormal": lambda: normal(n).mul(0.2).exp(),
        "wide lognormal": lambda: normal(n).mul(3).exp(),
        "uniform": lambda: uniform(n),
        "uniform away from zero": lambda: 0.5 + uniform(n),
        "uniform log": lambda: uniform(n).mul(7).exp(),
        "triangular": lambda: uniform(n).sqrt(),
        "exponential": lambda: -uniform(n).log(),
        "chi": lambda: normal(64 * n).view(n, 64).norm(dim=1),
        "half Cauchy": lambda: ratio.abs(),
        "log Cauchy": lambda: ratio.clamp(-1000, 1000).mul(0.1).exp(),
        "Pareto": lambda: 1 / uniform(n).clamp(min=1e-12),
        "piled up at zero": lambda: uniform(n).pow(4),
    }[name]()


NAMES = [
    "lognormal",
    "wide lognormal",
    "uniform",
    "uniform away from zero",
    "uniform log",
    "triangular",
    "exponential",
    "chi",
    "half Cauchy",
    "log Cauchy",
    "Pareto",
    "piled up at zero",
]


def mixture(share, n, *, gap=2.3, spread=0.25, repeat=0):
    """A share of distances around 0.1, the others around 0.1 exp(gap)."""
    normal, _ = draws(f"mixture {share} {n} {repeat}")
    middle = torch.where(torch.arange(n) < round(share * n), 0.0, gap)
    return 0.1 * (middle + spread * normal(n)).exp()


def test_false_accept_rate_is_below_one_percent():
    sizes = [(50, 8), (300, 8), (2000, 8), (20_000, 2)]
    found = [
        valley(one_mode(name, n, repeat)).identifiable
        for name in NAMES
        for n, repeats in sizes
        for repeat in range(repeats)
    ]
    # The measured rate is 0.05 % (8,000 samples); at 1 %, more than 2 of 312 has a probability of 60 %.
    assert len(found) == 312
    assert sum(found) <= 2


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.98])
def test_clear_mixtures(share):
    for repeat in range(5):
        found = valley(mixture(share, 2000, repeat=repeat))
        assert found.identifiable
        assert 0.18 < found.value < 0.56  # modes at 0.1 and 1, 2.3 standard deviations inward
        assert found.peaks == pytest.approx((0.1, 1.0), rel=0.25)
        assert found.reason == ""


def test_value_is_the_middle_of_equal_modes():
    values = [valley(mixture(0.5, 20_000, repeat=repeat)).value for repeat in range(5)]
    assert sum(values) / 5 == pytest.approx(0.1 * math.exp(1.15), rel=0.03)


@pytest.mark.parametrize(("n", "gap", "widths"), [(2000, 2.3, 0), (20_000, 2.3, 0), (20_000, 1.2, 1)])
def test_numbers_of_a_known_mixture(n, gap, widths):
    """Two equal normal modes, blurred by the coarsest kernel that leaves half of the depth."""
    spread, deviation = 0.25, math.hypot(gap / 2, 0.25)
    width = 0.5 * deviation * 2 ** (-0.5 * widths)
    blurred = math.hypot(spread, width)
    peak = 0.5 / (math.sqrt(2 * math.pi) * blurred) * (1 + math.exp(-0.5 * (gap / blurred) ** 2))
    bottom = 1 / (math.sqrt(2 * math.pi) * blurred) * math.exp(-0.5 * (gap / 2 / blurred) ** 2)
    error = math.sqrt(1 / (2 * math.sqrt(math.pi)) / (2 * n * width))
    found = valley(mixture(0.5, n, gap=gap, spread=spread))
    assert found.depth == pytest.approx(1 - bottom / peak, abs=0.04)
    assert found.significance == pytest.approx((math.sqrt(peak) - math.sqrt(bottom)) / error, abs=3)
    assert found.ashman_d == pytest.approx(gap / blurred, rel=0.03)
    assert found.explained == pytest.approx((gap / 2 / deviation) ** 2, rel=0.01)
    assert found.value == pytest.approx(0.1 * math.exp(gap / 2), rel=0.05)


def test_noise_of_one_mode_has_the_significance_of_noise():
    found = [valley(one_mode("lognormal", 2000, repeat)).significance for repeat in range(40)]
    assert 2 < sorted(found)[20] < 4


def test_scale_does_not_matter():
    distances = mixture(0.3, 2000)
    one, other = valley(distances), valley(1e-3 * distances)
    assert other.value == pytest.approx(1e-3 * one.value, rel=1e-6)
    assert (other.depth, other.ashman_d) == pytest.approx((one.depth, one.ashman_d), rel=1e-6)


def test_order_does_not_matter():
    distances = mixture(0.3, 2000)
    assert valley(distances) == valley(distances.flip(0))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_exact_copies_are_a_mode(share):
    distances = mixture(0.0, 2000)
    distances[: round(share * 2000)] = 0.0
    found = valley(distances)
    assert found.identifiable
    assert 0 < found.value < float(distances[distances > 0].min())
    assert found.peaks[0] == pytest.approx(1e-4 * float(distances.max()), rel=0.3)


def test_exact_copies_join_near_copies():
    distances = mixture(0.5, 2000)
    distances[:1000] *= 1e-8  # near copies far below the place of zeros
    distances[:100] = 0.0
    found = valley(distances)
    assert found.identifiable
    assert 1e-8 < found.value < 0.5
    assert found.peaks[0] < 1e-8


def test_two_atoms():
    found = valley(torch.tensor([0.0] * 60 + [1.0] * 60))
    assert found.identifiable
    assert found.value == pytest.approx(1e-2, rel=0.1)  # the middle between 1e-4 and 1
    assert found.explained == pytest.approx(1)


def test_the_main_division_is_found_not_the_deepest():
    # Copies of two kinds, the sharper ones an island of their own, and novel images
    normal, _ = draws("three")
    logs = [0.1 * normal(2000) - 3.4, 0.4 * normal(7000) - 2, 0.4 * normal(15_000) + 0.7]
    found = valley(torch.cat(logs).exp())
    assert found.identifiable
    assert 0.3 < found.value < 0.8
    sharp = valley(torch.cat(logs[:2]).exp())
    assert sharp.identifiable  # without novel images, the island is the main division
    assert 0.035 < sharp.value < 0.07


def test_an_island_of_a_mode_is_no_threshold():
    normal, _ = draws("island")
    found = valley(torch.cat([normal(20_000), 0.1 * normal(300) - 4.5]).exp())
    assert found.reason == MINOR
    assert found.explained == pytest.approx(0.0146 * 4.5**2 / (1 + 0.0146 * 4.5**2), rel=0.05)


@pytest.mark.parametrize("distances", [[], [1.0], [2.0] * 50, [0.0] * 50])
def test_nothing_to_tell_apart(distances):
    found = valley(torch.tensor(distances))
    assert found == Valley(identifiable=False, reason="there are no two different distances")


def test_too_few_to_tell():
    found = valley(torch.tensor([0.1, 0.11, 1.0, 1.1]))
    assert not found.identifiable
    assert found.reason == ONE_MODE
    assert found.depth is not None


def test_shallow_valley_is_refused():
    found = valley(mixture(0.5, 50_000, gap=0.65))
    assert not found.identifiable
    assert found.value is None
    assert found.reason == SHALLOW
    assert found.significance > 5
    assert 0 < found.depth < 0.5


def test_a_mode_and_its_tail_are_no_two_modes():
    # A narrow mode, a gap, and a tail as wide as its distance: deep, but D = sqrt(2) (1.15 / 1)
    normal, uniform = draws("tail")
    found = valley(torch.cat([0.02 * normal(15_000), 0.15 - uniform(5000).log()]).exp())
    assert found.reason == OVERLAPPING
    assert found.ashman_d == pytest.approx(2**0.5 * 1.15, rel=0.05)
    assert found.depth > 0.9


@pytest.mark.parametrize(
    ("significance", "depth", "ashman_d", "explained", "reason"),
    [
        (5.0, 0.5, 2.01, 0.5, ""),
        (4.9, 1.0, 9.0, 1.0, ONE_MODE),
        (9.0, 0.49, 9.0, 1.0, SHALLOW),
        (9.0, 1.0, 2.0, 1.0, OVERLAPPING),
        (9.0, 1.0, 9.0, 0.49, MINOR),
    ],
)
def test_criteria(significance, depth, ashman_d, explained, reason):
    assert _objection(_Candidate(0.0, (-1.0, 1.0), depth, significance, ashman_d, explained)) == reason


@pytest.mark.parametrize("bad", [-1.0, torch.inf, torch.nan])
def test_bad_distances(bad):
    with pytest.raises(ValueError, match="`distances` must be finite and at least 0"):
        valley(torch.tensor([1.0, bad]))
