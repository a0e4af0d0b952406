"""A verdict on an interval, never on a bare number: ``memorized > 0.01`` decides whether an audit fails.

A condition names what must *not* be the case. With [low, high] the 95 % interval of the share:

===========  ==================  ==================
condition    fail                pass
===========  ==================  ==================
``x > b``    low > b             high <= b
``x >= b``   low >= b            high < b
``x < b``    high < b            low >= b
``x <= b``   high <= b           low > b
===========  ==================  ==================

Everything else is inconclusive: an interval that holds the bound, a share that could not be computed, and a
would-be pass on fewer than `FEWEST` samples, whatever the bound. "Pass" says that these samples show no more
than the bound, not that the model cannot do it.
"""

__all__ = ["Condition", "Outcome", "Verdict", "decide", "parse_condition"]

import operator
import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from spurion.core.arguments import TEXT, check_arguments
from spurion.core.config import Config
from spurion.core.quantities import Number
from spurion.phases.detection import samples_needed
from spurion.statistics.intervals import Interval

FEWEST = 30
"""Fewer samples never pass."""

Outcome = Literal["pass", "fail", "inconclusive"]

_FORM = re.compile(r"\s*([a-z_]+)\s*(>=|<=|>|<)\s*(\S+)\s*")
_COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_EXIT_CODES: dict[Outcome, int] = {"pass": 0, "fail": 1, "inconclusive": 3}


class Condition(Config):
    """A parsed condition: the audit fails if the share compares so with the bound."""

    name: str
    sign: Literal[">", ">=", "<", "<="]
    bound: float

    def __str__(self) -> str:
        """The condition as `parse_condition` reads it."""
        return f"{self.name} {self.sign} {self.bound!r}"


class Verdict(Config):
    """What was asked, the answer and the reason; value, low and high are null if there was no share."""

    expression: str
    outcome: Outcome
    reason: str = Field(description="One sentence.")
    value: Number | None
    low: Number | None
    high: Number | None
    bound: Number

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 inconclusive."""
        return _EXIT_CODES[self.outcome]


def parse_condition(text: str) -> Condition:
    """Read a condition such as ``memorized > 0.01``.

    Arguments:
        text: A name, one of >, >=, < and <=, and a share. A bound that every share or none would meet
            (``> 1``, ``>= 0``) is refused.

    Raises:
        ValueError: If it is none of these.

    Example:
        >>> str(parse_condition("memorized>0.01"))
        'memorized > 0.01'
    """
    check_arguments(locals(), {"text": TEXT})
    parts = _FORM.fullmatch(text)
    bound = None if parts is None else _number(parts[3])
    if parts is None or bound is None:
        raise ValueError(f"the condition must look like `memorized > 0.01`, got `{text}`.")
    sign = parts[2]
    open_above = sign in (">", "<=")  # a share can be above the bound, or not
    if not (0 <= bound < 1 if open_above else 0 < bound <= 1):
        allowed = "at least 0 and below 1" if open_above else "above 0 and at most 1"
        raise ValueError(f"the bound of `{text}` must be {allowed}, or the answer is known beforehand.")
    return Condition.model_validate({"name": parts[1], "sign": sign, "bound": bound})


def decide(condition: Condition | str, shares: Mapping[str, Interval | None], samples: int) -> Verdict:
    """Decide a condition on the intervals of shares.

    Arguments:
        condition: The condition, or its text.
        shares: What may be asked for, by name; None where it could not be computed.
        samples: The number of samples that the shares are of.

    Raises:
        ValueError: If the condition cannot be read, or asks for a share that is not there.

    Example:
        >>> from spurion.statistics.intervals import proportion
        >>> decide("memorized > 0.01", {"memorized": proportion(0, 100)}, 100).reason
        'The interval of memorized, 0 to 0.0295, holds the bound 0.01; 299 samples without a copy would pass.'
    """
    asked = parse_condition(condition) if isinstance(condition, str) else condition
    if asked.name not in shares:
        raise ValueError(f"`{asked}` asks for a share that is not known; ask for {_listed(shares)}.")
    interval = shares[asked.name]
    outcome, reason = _answer(asked, interval, samples)
    return Verdict(
        expression=str(asked),
        outcome=outcome,
        reason=reason,
        value=None if interval is None else interval.value,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        bound=asked.bound,
    )


def _answer(asked: Condition, interval: Interval | None, samples: int) -> tuple[Outcome, str]:
    if interval is None:
        return "inconclusive", f"The share {asked.name} could not be computed; the notes say why."
    span = f"the interval of {asked.name}, {interval.low:.3g} to {interval.high:.3g},"
    holds = _COMPARE[asked.sign]
    fails = [holds(end, asked.bound) for end in (interval.low, interval.high)]
    if all(fails):
        return "fail", f"{_capital(span)} lies wholly where `{asked}`."
    if any(fails):
        return "inconclusive", f"{_capital(span)} holds the bound {asked.bound:g}{_advice(asked, interval)}."
    if samples < FEWEST:
        return "inconclusive", f"{samples} samples are too few to pass; {FEWEST} or more can."
    return "pass", f"{_capital(span)} lies wholly where `{asked}` is false."


def _advice(asked: Condition, interval: Interval) -> str:
    """How many samples would do where none was found; otherwise it depends on the model."""
    if interval.value > 0 or asked.sign not in (">", ">="):
        return ""
    if asked.bound == 0:
        return "; no number of samples shows a share to be exactly 0"
    needed = max(FEWEST, samples_needed(asked.bound) + (asked.sign == ">="))
    return f"; {needed} samples without a copy would pass"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _listed(names: Mapping[str, Interval | None]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
