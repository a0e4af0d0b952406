"""What a threshold rule does, in words: the same on the page and in the terminal."""

__all__ = ["among", "promised", "rule_in_words"]

from collections.abc import Iterator

from spurion.phases.anchor import RANK
from spurion.phases.rules import HoldoutRule, NullFit, NullRule, Rule, ThresholdInfo, ValleyRule, parse_rule
from spurion.statistics.numbers import absent, percent, size, value


def rule_in_words(info: ThresholdInfo) -> str:
    """What the rule does, and what its thresholds hang on.

    Example:
        >>> from spurion.phases.thresholds import fixed
        >>> rule_in_words(fixed(0.5, 0.2))
        'The thresholds are numbers fixed in advance.'
    """
    return " ".join(_sentences(info))


def among(info: ThresholdInfo | None) -> str:
    """At which number of samples repetitions are counted; empty where it is that of all samples.

    Example:
        >>> from spurion.phases.thresholds import fixed
        >>> among(fixed(0.5, 0.2)), among(fixed(0.5, 0.2).model_copy(update={"sample_size": 1000}))
        ('', 'among m0 = 1,000 samples')
    """
    return "" if info is None or info.sample_size is None else f"among m0 = {size(info.sample_size)} samples"


def promised(alpha: float | None) -> str:
    """A share of false calls, as it was asked for.

    Example:
        >>> promised(0.01), promised(0.001), promised(0.07)
        ('1%', '0.1%', '7%')
    """
    return absent if alpha is None else f"{100 * alpha:g}%"


def _sentences(info: ThresholdInfo) -> Iterator[str]:
    rule = _read(info.rule)
    if rule is None:
        yield f"The thresholds follow the rule “{info.rule}”."
    elif isinstance(rule, NullRule):
        yield from _of_null(info, rule.alpha)
    elif isinstance(rule, HoldoutRule):
        yield (
            "δm is so small that at most a share α of held-out images, which the model never saw, would be "
            "called memorized; δs follows in the same way from distances among held-out images, of which "
            "there are as many as samples that repetitions are counted among."
        )
    elif isinstance(rule, ValleyRule):
        yield (
            "A valley describes the histograms and decides nothing: δm is the valley between the two modes "
            "of the distances from samples to their nearest training images, δs that of the distances "
            "between samples, where there is one. Two kinds of images part in the same way as copies and "
            "the rest."
        )
    else:
        yield "The thresholds are numbers fixed in advance."


def _read(text: str) -> Rule | None:
    """The rule; None for a text that is none, which a stored result may hold."""
    try:
        return parse_rule(text)
    except ValueError:
        return None


def _of_null(info: ThresholdInfo, alpha: float) -> Iterator[str]:
    yield f"A new real image would be called memorized with a probability of {promised(alpha)}."
    if info.sample_size is not None:
        yield (
            f"δs is the distance within which {promised(alpha)} of m0 = {size(info.sample_size)} new real "
            "images have another one; repetitions are counted among so many samples."
        )
    if info.null is not None:
        yield from _of_fit(info.null, alpha)


def _of_fit(fit: NullFit, alpha: float) -> Iterator[str]:
    whose = (
        f"{size(fit.images)} held-out images"
        if fit.held_out
        else f"{size(fit.images)} training images, each against all others, for want of enough held-out ones"
    )
    dimension = "" if fit.dimension is None else f" (dimension {value(fit.dimension, 2)})"
    yield f"The thresholds hang on {whose}{dimension}."
    names = [name for name, carried in zip(("δm", "δs"), fit.carried, strict=True) if carried]
    if names:
        which = "both are" if len(names) == 2 else f"{names[0]} is"
        beta = percent(max(alpha, RANK / (fit.images + 1)))
        yield f"With so few, {which} carried on by the law of distances from the {beta} quantile."
    for name, lawful in zip(("δm", "δs"), fit.lawful, strict=True):
        if not lawful:
            yield (
                f"{name} is an order statistic itself: more of these images lie near each other than that "
                "law allows."
            )
