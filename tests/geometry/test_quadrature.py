import math

import pytest
import torch

from spurion.geometry.quadrature import integrate


def of(*functions):
    """Functions of one place each, as an integrand."""

    def integrand(index, place):
        return torch.stack([f(place) for f in functions])[index, torch.arange(len(place))]

    return integrand


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_smooth_functions(tolerance):
    found = integrate(of(torch.sin, torch.exp, torch.ones_like), 3, 0.0, math.pi, tolerance=tolerance)
    true = torch.tensor([2.0, math.exp(math.pi) - 1, math.pi], dtype=torch.float64)
    assert found.converged.all()
    assert ((found.value - true).abs() <= found.error + 1e-13).all()
    assert (found.error <= tolerance * true + 1e-13).all()


def test_cubics_are_exact():
    found = integrate(of(lambda x: x**3 - x**2), 1, -1.0, 2.0, tolerance=1e-6, panels=1)
    assert float(found.value) == pytest.approx(15 / 4 - 3, abs=1e-14)
    assert found.evaluations.tolist() == [5]


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_jumps_wherever_they_are(tolerance):
    # A jump costs eight values for each halving of its error: log2(1 / tolerance) halvings at most.
    places = [0.5 * math.sqrt(2), 1 / 3, 0.5, 0.123456, 1 - 1e-3, 0.25 + 1e-9]
    found = integrate(
        of(*[lambda x, c=c: 4 * (x >= c).double() - 1 for c in places]), 6, 0.0, 1.0, tolerance=tolerance
    )
    true = torch.tensor([3 - 4 * c for c in places], dtype=torch.float64)
    assert found.converged.all()
    assert ((found.value - true).abs() <= found.error + 1e-12).all()
    assert int(found.evaluations.max()) <= 65 + 8 * (4 + math.log2(1 / tolerance))


def test_steep_steps():
    # tanh with widths from far below the first spacing to above it, at 40 places each.
    cases = [(c, w) for c in torch.linspace(0.2, 0.8, 40).tolist() for w in (1e-2, 1e-4, 1e-6)]
    found = integrate(
        of(*[lambda x, c=c, w=w: torch.tanh((x - c) / w) for c, w in cases]), 120, 0.0, 1.0, tolerance=1e-5
    )
    log_cosh = lambda z: abs(z) + math.log1p(math.exp(-2 * abs(z))) - math.log(2)  # noqa: E731
    true = [w * (log_cosh((1 - c) / w) - log_cosh(c / w)) for c, w in cases]
    assert found.converged.all()
    assert ((found.value - torch.tensor(true, dtype=torch.float64)).abs() <= found.error + 1e-12).all()


def test_each_integral_stops_by_itself():
    together = integrate(of(torch.sin, lambda x: (x > 0.3).double()), 2, 0.0, 1.0, tolerance=1e-6)
    alone = [integrate(of(f), 1, 0.0, 1.0, tolerance=1e-6) for f in (torch.sin, lambda x: (x > 0.3).double())]
    assert torch.equal(together.evaluations, torch.cat([each.evaluations for each in alone]))
    assert torch.allclose(together.value, torch.cat([each.value for each in alone]), rtol=0, atol=1e-14)


def test_the_integral_of_nothing_is_exact():
    found = integrate(of(torch.zeros_like), 1, 0.0, 1.0, tolerance=1e-6)
    assert (float(found.value), float(found.error), bool(found.converged)) == (0.0, 0.0, True)


def test_evaluations_run_out_and_the_error_says_so():
    found = integrate(of(lambda x: 2 * (x >= 0.3).double() - 1), 1, 0.0, 1.0, tolerance=1e-12, limit=100)
    assert not bool(found.converged)
    assert 100 <= int(found.evaluations) <= 108
    assert float((found.value - 0.4).abs()) <= float(found.error)
    assert float(found.error) > 1e-6


def test_an_integral_that_cannot_be_refined_ends():
    # A jump is never resolved below the width of the narrowest interval.
    found = integrate(of(lambda x: 2 * (x >= 0.3).double() - 1), 1, 0.0, 1.0, tolerance=1e-15, limit=10**6)
    assert not bool(found.converged)
    assert float(found.value) == pytest.approx(0.4, abs=1e-12)


def test_values_that_are_not_finite_fail_alone():
    found = integrate(of(lambda x: x / (x - x), torch.sin), 2, 0.0, 1.0, tolerance=1e-6)
    assert found.value[0].isnan()
    assert found.converged.tolist() == [False, True]
    assert float(found.value[1]) == pytest.approx(1 - math.cos(1))


def test_noise_is_no_error_to_work_on():
    shaky = of(lambda x: torch.sin(x) + 1e-4 * torch.sin(1e9 * x * x))
    noise = torch.tensor([1e-3], dtype=torch.float64)
    found = integrate(shaky, 1, 0.0, math.pi, tolerance=1e-9, noise=noise)
    assert bool(found.converged)
    assert int(found.evaluations) < 200
    assert 1e-3 <= float(found.error) <= 2e-3
    assert abs(float(found.value) - 2) <= float(found.error)
    assert int(integrate(shaky, 1, 0.0, math.pi, tolerance=1e-9, limit=3000).evaluations) >= 3000


def test_bad_arguments():
    with pytest.raises(ValueError, match="`tolerance` must be positive, got 0"):
        integrate(of(torch.sin), 1, 0.0, 1.0, tolerance=0.0)
    for panels, limit in ((0, 10), (4, 0)):
        with pytest.raises(
            ValueError, match=f"`panels` and `limit` must be at least 1, got {panels} and {limit}"
        ):
            integrate(of(torch.sin), 1, 0.0, 1.0, tolerance=1e-3, panels=panels, limit=limit)
