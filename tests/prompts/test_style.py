"""Style of prompts: planted differences are found by name, chance and absence are not."""

import random

from spurion.prompts.style import FEATURES, differences

WORDS = ("red", "blue", "a", "house", "tree", "seven", "quiet")


def texts(count, seed, words=6):
    rng = random.Random(seed)
    return [" ".join(rng.choice(WORDS) for _ in range(words)) for _ in range(count)]


def test_each_feature_is_found_where_it_is_planted():
    plain = texts(60, 0)
    planted = {
        "length": [t + " quiet" for t in texts(60, 1)],
        "words": [t.replace("quiet", "q u") for t in texts(60, 1)],
        "capitals": [t.title() for t in texts(60, 1)],
        "punctuation": [t + "!" for t in texts(60, 1)],
        "digits": [t + " 7" for t in texts(60, 1)],
    }
    assert set(planted) == set(FEATURES)
    for name, other in planted.items():
        found = {one.name: one for one in differences(other, plain)}
        assert name in found
        assert found[name].auc > 0.6
        assert {one.name: round(1 - one.auc, 9) for one in differences(plain, other)} == {
            name: round(one.auc, 9) for name, one in found.items()
        }


def test_texts_of_one_style_differ_by_chance_alone():
    """1 % of pairs of lists may be said to differ: at most 5 of 100 (Poisson tail 0.06 %)."""
    wrong = sum(bool(differences(texts(40, 2 * i), texts(40, 2 * i + 1))) for i in range(100))
    assert wrong <= 5


def test_shares_of_characters_do_not_grow_with_length():
    """Twice the same text has as large a share of capitals, punctuation and digits."""
    exact = [text[:40].ljust(40, "x") + "A.7" for text in texts(60, 4, words=8)]
    assert {one.name for one in differences([t * 2 for t in exact], exact)} == {"length", "words"}


def test_a_feature_may_differ_though_both_have_none_of_it_at_zero():
    """A feature that is 1 everywhere is left out like one that is 0: what is alike tells nothing."""
    assert differences(["aaa"] * 30, ["bbb"] * 30) == []
    assert [one.name for one in differences(["a a"] * 30, ["bbb"] * 30)] == ["words"]


def test_nothing_is_said_of_no_texts():
    assert differences([], texts(30, 0)) == []
    assert differences(texts(30, 0), []) == []
    assert differences(["a"] * 30, ["b"] * 30) == []


def test_the_p_value_is_that_of_all_features_together():
    """Lengths 1 to 8 against 5 to 12: Mann-Whitney's U from its definition, and five times its p-value."""
    from scipy.stats import mannwhitneyu

    first, second = ["x" * n for n in range(1, 9)], ["x" * n for n in range(5, 13)]
    known = mannwhitneyu([len(t) for t in second], [len(t) for t in first])
    assert 0.01 < 5 * known.pvalue < 0.1
    assert differences(second, first) == []
    longer = ["x" * n for n in range(21, 29)]
    found = differences(longer, first)[0]
    exact = mannwhitneyu([len(t) for t in longer], [len(t) for t in first]).pvalue
    assert (found.name, found.auc) == ("length", 1.0)
    assert abs(found.p_value - 5 * exact) < 1e-12
