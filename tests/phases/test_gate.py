"""The gate: every outcome on hand-made intervals, every sign, every sentence."""

import pytest

from spurion.phases.gate import FEWEST, Verdict, decide, parse_condition
from spurion.statistics.intervals import Interval, proportion


def asked(expression, low, high, samples=1000):
    share = Interval(value=(low + high) / 2, low=low, high=high)
    return decide(expression, {"memorized": share}, samples)


@pytest.mark.parametrize(
    ("expression", "low", "high", "outcome"),
    [
        ("memorized > 0.1", 0.11, 0.2, "fail"),
        ("memorized > 0.1", 0.1, 0.2, "inconclusive"),
        ("memorized > 0.1", 0.02, 0.11, "inconclusive"),
        ("memorized > 0.1", 0.02, 0.1, "pass"),
        ("memorized >= 0.1", 0.1, 0.2, "fail"),
        ("memorized >= 0.1", 0.09, 0.2, "inconclusive"),
        ("memorized >= 0.1", 0.02, 0.1, "inconclusive"),
        ("memorized >= 0.1", 0.02, 0.09, "pass"),
        ("memorized < 0.1", 0.02, 0.09, "fail"),
        ("memorized < 0.1", 0.02, 0.1, "inconclusive"),
        ("memorized < 0.1", 0.09, 0.2, "inconclusive"),
        ("memorized < 0.1", 0.1, 0.2, "pass"),
        ("memorized <= 0.1", 0.02, 0.1, "fail"),
        ("memorized <= 0.1", 0.02, 0.11, "inconclusive"),
        ("memorized <= 0.1", 0.1, 0.2, "inconclusive"),
        ("memorized <= 0.1", 0.11, 0.2, "pass"),
    ],
)
def test_the_interval_decides(expression, low, high, outcome):
    found = asked(expression, low, high)
    assert found.outcome == outcome
    assert found.expression == expression
    assert (found.low, found.high, found.bound) == (low, high, 0.1)
    assert found.exit_code == {"pass": 0, "fail": 1, "inconclusive": 3}[outcome]


def test_reasons_are_sentences():
    span = "The interval of memorized, 0.02 to 0.05,"
    assert (
        asked("memorized > 0.1", 0.02, 0.05).reason == f"{span} lies wholly where `memorized > 0.1` is false."
    )
    assert asked("memorized > 0.01", 0.02, 0.05).reason == f"{span} lies wholly where `memorized > 0.01`."
    assert asked("memorized > 0.03", 0.02, 0.05).reason == f"{span} holds the bound 0.03."


@pytest.mark.parametrize("samples", [1, 5, FEWEST - 1])
def test_few_samples_never_pass(samples):
    clean = {"memorized": proportion(0, samples)}
    for bound in (0.01, 0.5, 0.96, 0.999):
        found = decide(f"memorized > {bound}", clean, samples)
        assert found.outcome == "inconclusive"
    assert found.reason == f"{samples} samples are too few to pass; {FEWEST} or more can."
    assert decide("memorized > 0.5", {"memorized": proportion(0, FEWEST)}, FEWEST).outcome == "pass"


def test_few_samples_can_fail():
    assert decide("memorized > 0.01", {"memorized": proportion(3, 3)}, 3).outcome == "fail"


@pytest.mark.parametrize("sign", [">", ">="])
def test_nothing_found_says_how_many_samples_would_pass(sign):
    expression = f"memorized {sign} 0.01"
    found = decide(expression, {"memorized": proportion(0, 100)}, 100)
    assert found.outcome == "inconclusive"
    needed = 299 if sign == ">" else 300
    assert found.reason.endswith(f"; {needed} samples without a copy would pass.")
    assert decide(expression, {"memorized": proportion(0, needed)}, needed).outcome == "pass"
    assert decide(expression, {"memorized": proportion(0, 298)}, 298).outcome == "inconclusive"
    # and never fewer than may pass at all
    few = decide(f"memorized {sign} 0.9", {"memorized": proportion(0, 1)}, 1)
    assert few.reason.endswith(f"; {FEWEST} samples without a copy would pass.")


def test_a_share_of_exactly_0_cannot_be_shown():
    found = decide("memorized > 0", {"memorized": proportion(0, 10**6)}, 10**6)
    assert found.outcome == "inconclusive"
    assert found.reason.endswith("; no number of samples shows a share to be exactly 0.")
    assert decide("memorized > 0", {"memorized": proportion(1, 100)}, 100).outcome == "fail"


def test_a_mirrored_condition_gives_no_advice():
    found = decide("memorized < 0.01", {"memorized": proportion(0, 100)}, 100)
    assert found.outcome == "inconclusive"
    assert found.reason.endswith("holds the bound 0.01.")


def test_a_share_that_is_missing_is_inconclusive():
    found = decide("memorized > 0.01", {"memorized": None}, 1000)
    assert (found.outcome, found.value, found.low, found.high) == ("inconclusive", None, None, None)
    assert found.reason == "The share memorized could not be computed; the notes say why."


@pytest.mark.parametrize(
    "text", ["memorized>0.01", "  memorized  >  0.01 ", "memorized > 1e-2", "memorized > .01"]
)
def test_spaces_and_forms_of_numbers(text):
    assert str(parse_condition(text)) == "memorized > 0.01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "memorized",
        "memorized = 0.1",
        "memorized > ",
        "> 0.1",
        "memorized > a",
        "0.1 < memorized",
        "a > 1 2",
    ],
)
def test_what_is_no_condition(text):
    with pytest.raises(ValueError, match=r"the condition must look like `memorized > 0\.01`, got"):
        parse_condition(text)


@pytest.mark.parametrize("sign", [">", "<="])
@pytest.mark.parametrize("bound", ["-0.1", "1", "1.5", "nan", "inf"])
def test_bounds_that_decide_beforehand(sign, bound):
    with pytest.raises(ValueError, match="must be at least 0 and below 1, or the answer is known"):
        parse_condition(f"memorized {sign} {bound}")


@pytest.mark.parametrize("sign", [">=", "<"])
@pytest.mark.parametrize("bound", ["-0.1", "0", "1.5", "nan"])
def test_bounds_that_decide_beforehand_with_equality(sign, bound):
    with pytest.raises(ValueError, match="must be above 0 and at most 1, or the answer is known"):
        parse_condition(f"memorized {sign} {bound}")


def test_an_unknown_share():
    shares = {"memorized": None, "spurious": None, "closer_to_train": None}
    with pytest.raises(ValueError, match="ask for memorized, spurious or closer_to_train"):
        decide("copied > 0.1", shares, 100)
    with pytest.raises(ValueError, match="ask for memorized\\."):
        decide("copied > 0.1", {"memorized": None}, 100)


def test_a_verdict_survives_json():
    found = asked("memorized > 0.1", 0.02, 0.05)
    assert Verdict.model_validate_json(found.model_dump_json()) == found
