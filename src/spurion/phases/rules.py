"""Rules of thresholds by their names, and what they found; `spurion.phases.thresholds` makes thresholds."""

__all__ = [
    "FixedRule",
    "HoldoutRule",
    "Identifiable",
    "NullFit",
    "NullRule",
    "Rule",
    "ThresholdInfo",
    "ValleyRule",
    "parse_rule",
]

from pydantic import Field

from spurion.core.arguments import TEXT, check_arguments
from spurion.core.config import Config, build_config
from spurion.core.quantities import Distance, Notes, Positive, Size
from spurion.phases.valley import Valley


class Identifiable(Config):
    """Whether the rule itself found each threshold; false where it is absent or borrowed."""

    memorized: bool
    spurious: bool


class NullFit(Config):
    """What the `null` rule saw of the real images; see `spurion.phases.anchor`."""

    held_out: bool = Field(description="Whether held-out images set the thresholds; else training images.")
    images: Size = Field(description="Number h of images that did.")
    dimension: Positive | None = Field(description="Exponent d of the law of distances; null without one.")
    carried: tuple[bool, bool] = Field(
        description="Whether each threshold was carried on by that law, or is an order statistic itself."
    )
    lawful: tuple[bool, bool] = Field(
        description="Whether no more images lie below each threshold that the law gives than it allows."
    )


class ThresholdInfo(Config):
    """Thresholds with the rule that made them.

    Attributes:
        rule: The rule, as `parse_rule` reads it.
        memorized: The largest distance to a training image that makes a sample memorized; None where
            there is no such threshold.
        spurious: The largest distance to another sample that makes a sample a repetition.
        identifiable: Whether the rule itself found them.
        notes: What a reader must know about them.
        sample_size: The number of samples at which repetitions are counted; None for all there are.
        null: What the `null` rule saw.
        memorized_valley: What the `valley` rule saw among the distances to the training set.
        spurious_valley: What it saw among the distances between samples that are not memorized.
    """

    rule: str
    memorized: Distance | None
    spurious: Distance | None
    identifiable: Identifiable
    notes: Notes = ()
    sample_size: Size | None = None
    null: NullFit | None = None
    memorized_valley: Valley | None = None
    spurious_valley: Valley | None = None

    @property
    def held_out(self) -> bool:
        """Whether held-out images set them."""
        return self.rule.startswith("holdout") or (self.null is not None and self.null.held_out)

    @property
    def alpha(self) -> float | None:
        """The promised share of new images that are called memorized, at most; None without a promise."""
        return getattr(parse_rule(self.rule), "alpha", None)


class FixedRule(Config):
    """``fixed:DM,DS``."""

    memorized: Distance
    spurious: Distance


class ValleyRule(Config):
    """``valley``."""


class HoldoutRule(Config):
    """``holdout:ALPHA``."""

    alpha: float = Field(gt=0, lt=1)


class NullRule(Config):
    """``null:ALPHA``."""

    alpha: float = Field(gt=0, lt=1)


Rule = FixedRule | ValleyRule | HoldoutRule | NullRule

_BY_ALPHA: dict[str, type[HoldoutRule | NullRule]] = {"holdout": HoldoutRule, "null": NullRule}


def parse_rule(text: str) -> Rule:
    """Read a rule: ``null:ALPHA``, ``holdout:ALPHA``, ``fixed:DM,DS`` or ``valley``.

    Raises:
        ValueError: If it is none of these, or a number is missing or out of range.

    Example:
        >>> parse_rule("fixed:0.36,0.3"), parse_rule("holdout:0.01")
        (FixedRule(memorized=0.36, spurious=0.3), HoldoutRule(alpha=0.01))
    """
    check_arguments(locals(), {"text": TEXT})
    name, _, rest = text.partition(":")
    where = f"threshold rule `{text}`"
    if name == "fixed" and rest.count(",") == 1:
        memorized, spurious = rest.split(",")
        return build_config(FixedRule, {"memorized": memorized, "spurious": spurious}, where)
    if text == "valley":
        return ValleyRule()
    if name in _BY_ALPHA and rest:
        return build_config(_BY_ALPHA[name], {"alpha": rest}, where)
    raise ValueError(
        "the threshold rule must be `null:ALPHA`, `holdout:ALPHA`, `fixed:DM,DS` or `valley` (such as "
        f"`null:0.01` or `fixed:0.36,0.36`), got `{text}`."
    )
