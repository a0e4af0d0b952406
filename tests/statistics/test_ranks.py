import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from spurion.statistics.ranks import compare, median


def normal(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def test_the_effect_size_counts_pairs():
    higher, lower = normal(0, 17) + 0.5, normal(1, 23)
    higher[0] = lower[0]  # a tie
    pairs = (higher[:, None] > lower).double() + 0.5 * (higher[:, None] == lower).double()
    assert compare(higher, lower).auc.value == pytest.approx(pairs.mean().item(), abs=1e-12)
    assert compare(lower, higher).auc.value == pytest.approx(1 - pairs.mean().item(), abs=1e-12)


def test_infinities_have_their_place():
    found = compare(torch.tensor([math.inf, math.inf, 1.0]), torch.tensor([-math.inf, 0.0, math.inf]))
    # Pairs won: (inf: 1 + 1 + 1/2) twice, and 1.0: 1 + 1 + 0.
    assert found.auc.value == pytest.approx(7 / 9)


def test_groups_apart_keep_an_interval_and_alike_ones_are_around_a_half():
    apart = compare(torch.arange(20.0) + 100, torch.arange(30.0))
    assert apart.auc.value == apart.auc.high == 1
    assert 0.8 < apart.auc.low < 0.95
    # Exact: P = 1 / C(50, 20) if no value ties; the test is exact or nearly so.
    assert apart.p_value < 1e-8
    below = compare(torch.arange(30.0), torch.arange(20.0) + 100)
    assert (below.auc.value, below.auc.low) == (0, 0)
    assert below.auc.high == pytest.approx(1 - apart.auc.low, abs=1e-9)  # the mirror image
    assert below.p_value == pytest.approx(1, abs=1e-6)
    same = compare(torch.arange(50.0), torch.arange(50.0))
    assert same.auc.value == 0.5
    assert same.auc.low < 0.5 < same.auc.high
    assert same.p_value == pytest.approx(0.5, abs=0.02)


def test_the_exact_p_value_of_a_tiny_case():
    # All of 3 above all of 3: one of C(6, 3) = 20 orders.
    assert compare(torch.tensor([4.0, 5.0, 6.0]), torch.tensor([1.0, 2.0, 3.0])).p_value == 0.05


@pytest.mark.parametrize("shift", [0.0, 0.8, 1.8])
def test_the_interval_covers_the_truth(shift):
    truth = norm.cdf(shift / math.sqrt(2))
    hits = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=30) + shift, rng.normal(size=40)
        auc = compare(torch.from_numpy(x), torch.from_numpy(y)).auc
        hits += auc.low <= truth <= auc.high
    # 95 % nominal; the standard error of 400 trials is 1.1 %, and Newcombe reports 93-97 %.
    assert 0.92 <= hits / 400 <= 0.985


def test_the_median_and_its_order_statistics():
    # n = 9: P(B < 2) = 10 / 512 = 0.0195, P(B < 3) = 0.0898, so r = 2.
    values = torch.tensor([8.0, 1.0, 5.0, 3.0, 7.0, 2.0, 9.0, 4.0, 6.0])
    found = median(values)
    assert (found.value, found.low, found.high) == (5, 2, 8)
    assert median(torch.arange(10.0)).value == 4.5
    assert median(torch.arange(5.0)) is None  # 2 / 32 > 0.05: no interval has 95 %
    six = median(torch.arange(6.0))
    assert (six.low, six.high) == (0, 5)
    assert median(torch.zeros(0)) is None


def test_the_median_interval_covers_the_truth():
    draws = np.random.default_rng(0).exponential(size=(1000, 25))
    hits = 0
    for row in draws:
        found = median(torch.from_numpy(row))
        hits += found.low <= math.log(2) <= found.high
    # n = 25, r = 8: exact coverage 95.7 %; standard error 0.7 %.
    assert hits / 1000 == pytest.approx(0.957, abs=0.025)


def test_a_median_may_be_infinite():
    never = torch.full((7,), -math.inf)
    found = median(torch.cat([never, torch.tensor([1.0])]))
    assert found.value == found.low == -math.inf
    assert found.high == 1.0


@pytest.mark.parametrize("bad", [torch.zeros(0), torch.tensor([math.nan, 1.0])])
def test_groups_without_values_are_refused(bad):
    message = "at least one value" if not len(bad) else "must not hold NaN"
    with pytest.raises(ValueError, match=f"`higher` {'must hold ' if not len(bad) else ''}{message}"):
        compare(bad, torch.ones(3))
    with pytest.raises(ValueError, match="`lower`"):
        compare(torch.ones(3), bad)
    if len(bad):
        with pytest.raises(ValueError, match="`values` must not hold NaN"):
            median(bad)
