"""ROC statistics of clustered scores against definitions, DeLong's variance, and simulated coverage."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from spurion.statistics.ranks import compare
from spurion.statistics.roc import Scores, auc, call_above, even, sensitivity, share_of, trend

torch = pytest.importorskip("torch")


def scores(values, clusters=None):
    values = np.asarray(values, dtype=float)
    return Scores(values, [str(i) for i in range(len(values))] if clusters is None else clusters)


def by_pairs(x, y):
    return float(((x[:, None] > y) + 0.5 * (x[:, None] == y)).mean())


def test_the_area_is_the_share_of_pairs_with_ties_and_infinities():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, 30).astype(float), rng.integers(0, 5, 20).astype(float)
    x[0], y[0] = np.inf, -np.inf
    names = [f"y{i}" for i in range(20)]
    assert auc(scores(x), scores(y, names)).value == pytest.approx(by_pairs(x, y), abs=1e-12)


def test_alone_in_their_clusters_the_interval_is_that_of_independent_groups():
    rng = np.random.default_rng(1)
    x, y = rng.normal(1, 1, 40), rng.normal(0, 1, 30)
    found = auc(scores(x), scores(y, [f"y{i}" for i in range(30)]))
    known = compare(torch.from_numpy(x), torch.from_numpy(y)).auc
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=1e-9)


def test_copies_of_every_member_change_nothing_but_their_number():
    """Ten equal prompts of one group say what one does: the interval is nearly that of the groups alone.

    The exact design effect is 10 (40 - 1) / (400 - 1) * 400 / 400 ..., up to (I - 1) / I factors of 3 %.
    """
    rng = np.random.default_rng(2)
    x, y = rng.normal(1, 1, 40), rng.normal(0, 1, 40)
    once = auc(scores(x, [f"x{i}" for i in range(40)]), scores(y, [f"y{i}" for i in range(40)]))
    many = auc(
        scores(x.repeat(10), [f"x{i}" for i in range(40) for _ in range(10)]),
        scores(y.repeat(10), [f"y{i}" for i in range(40) for _ in range(10)]),
    )
    assert many.value == pytest.approx(once.value)
    assert many.high - many.low == pytest.approx(once.high - once.low, rel=0.03)


def test_clusters_with_both_kinds_narrow_the_interval_where_they_move_together():
    rng = np.random.default_rng(3)
    shared = rng.normal(0, 3, 60)
    x, y = shared + 1 + rng.normal(0, 0.5, 60), shared + rng.normal(0, 0.5, 60)
    names = [f"c{i}" for i in range(60)]
    together, apart = auc(scores(x, names), scores(y, names)), auc(scores(x, names), scores(y))
    assert together.value == apart.value
    assert together.high - together.low <= apart.high - apart.low


def test_perfect_separation_stands_on_the_clusters():
    x, y = scores([3.0] * 20, ["a", "b"] * 10), scores([1.0] * 20, ["c", "d"] * 10)
    few = auc(x, y)
    more = auc(scores([3.0] * 20, [f"x{i}" for i in range(20)]), scores([1.0] * 20))
    assert few.value == more.value == 1.0
    assert few.low < more.low < 1


def test_intervals_of_clustered_scores_hold_the_truth():
    """95 % intervals over 400 draws hold the true AUC .7602 in 91 to 99 %; as if independent, in far fewer.

    Scores are a normal effect of the cluster plus a normal one of the member, variance 1 in all, positives
    shifted by 1: AUC = Phi(1 / sqrt(2)). The standard error of a share of .95 over 400 draws is 1.1 %.
    """
    truth, rng = 0.7602499, np.random.default_rng(4)
    held = alone = 0
    for _ in range(400):
        groups = [
            (rng.normal(0, 0.9, 20)[:, None] + rng.normal(0, 0.19**0.5, (20, 5)) + shift).ravel()
            for shift in (1, 0)
        ]
        names = [[f"{kind}{i}" for i in range(20) for _ in range(5)] for kind in "xy"]
        found = auc(scores(groups[0], names[0]), scores(groups[1], names[1]))
        naive = compare(*map(torch.from_numpy, groups)).auc
        held += found.low <= truth <= found.high
        alone += naive.low <= truth <= naive.high
    assert 0.91 <= held / 400 <= 0.99
    assert alone / 400 < 0.8


@pytest.mark.parametrize("count", [1, 50, 99, 100, 150, 200, 1000])
def test_at_most_the_rate_lies_above_and_the_next_lower_score_would_be_too_low(count):
    values = np.random.default_rng(5).normal(size=count)
    threshold = call_above(values, 0.01)
    assert (values > threshold).mean() <= 0.01
    lower = values[values < threshold]
    if len(lower):
        assert (values > lower.max()).mean() > 0.01


def test_sensitivity_is_the_share_above_the_threshold_and_knows_its_uncertainty():
    rng = np.random.default_rng(6)
    x, y = rng.normal(2, 1, 50), rng.normal(0, 1, 200)
    found = sensitivity(scores(x), scores(y), 0.01, seed=0)
    assert found.value == (x > np.sort(y)[-3]).mean()
    exact = share_of(x > np.sort(y)[-3], [str(i) for i in range(50)])
    assert found.low <= exact.low
    assert found.high >= exact.high
    assert found == sensitivity(scores(x), scores(y), 0.01, seed=0)


def test_a_share_of_members_alike_in_their_clusters_is_one_of_clusters():
    found = np.array([True] * 30 + [False] * 10)
    clusters = [str(i // 10) for i in range(40)]
    many, few = share_of(found, clusters), share_of(found[::10], [str(i) for i in range(4)])
    assert many.value == few.value == 0.75
    assert (many.low, many.high) == pytest.approx((few.low, few.high), abs=0.08)
    assert share_of(np.array([True] * 8), ["a"] * 8).low == pytest.approx(0.05)


def test_the_trend_is_kendalls_over_means_of_clusters():
    levels, values = np.array([1.0, 1, 5, 5, 20, 20]), np.array([1.0, 2, 2, 4, 3, 9])
    found = trend(scores(values), levels)
    assert found.tau == pytest.approx(kendalltau(levels, [0, 1, 1, 3, 2, 4]).statistic)
    assert found.p_value < 0.1
    assert trend(scores(-values), levels).p_value > 0.9
    assert trend(scores(values), np.ones(6)).p_value == 1.0
    joined = trend(
        scores(np.repeat(values, 3), [str(i) for i in range(6) for _ in range(3)]), np.repeat(levels, 3)
    )
    assert joined == found


@pytest.mark.parametrize(
    ("values", "clusters", "match"),
    [([], [], "at least one"), ([1.0], ["a", "b"], "one for each of the 2"), ([np.nan], ["a"], "NaN")],
)
def test_scores_that_are_none_are_refused(values, clusters, match):
    with pytest.raises(ValueError, match=match):
        scores(values, clusters)


def test_the_p_value_is_below_5_percent_where_the_interval_leaves_one_half():
    rng = np.random.default_rng(7)
    seen = set()
    for shift in np.linspace(-1.5, 1.5, 40):
        x, y = scores(rng.normal(shift, 1, 15)), scores(rng.normal(0, 1, 20), [f"y{i}" for i in range(20)])
        found, p = auc(x, y), even(x, y)
        outside = not found.low <= 0.5 <= found.high
        seen.add(outside)
        assert (p < 0.05) == outside
    assert seen == {True, False}
    same = scores([1.0] * 5)
    assert even(same, scores([1.0] * 4, list("abcd"))) == 1.0
