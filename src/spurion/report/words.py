"""The plain words for classes, samplers, sample sizes, and thresholds."""

__all__ = [
    "DEFINITIONS",
    "rule_in_words",
    "sample_sizes",
    "sampler_in_words",
    "thresholds_in_words",
]

from collections.abc import Sequence
from typing import Any

from spurion.audits.results import AuditResult
from spurion.diffusion.samplers import SamplerConfig
from spurion.statistics.numbers import absent, size, value

DEFINITIONS = {
    "memorized": "An image of the training set, copied: the nearest training image is at most δm away.",
    "spurious": "Nobody’s training image, and yet not unique: the model made (nearly) the same image again, "
    "at most δs away, though no training image is within δm.",
    "generalized": "Neither: no training image and no other sample is that near. Nothing more is claimed: "
    "the word says nothing about how good the image is.",
}
"""The three classes in plain words; each sample belongs to exactly one."""

RULES = {
    "fixed": "The thresholds are numbers fixed in advance.",
    "valley": "δm is the valley between the two modes of the distances from samples to their nearest "
    "training images, pooled over all K: copies to its left, everything else to its right. δs is the "
    "valley of the distances between samples, where there is one.",
    "holdout": "δm is so small that at most a share α of held-out images, which the model never saw, would "
    "be called memorized; δs follows in the same way from distances among held-out images.",
}


def sampler_in_words(sampler: dict[str, Any]) -> str:
    """A sampler's name and settings.

    Example:
        >>> sampler_in_words({"kind": "ddpm", "steps": 250, "eta": 0.0, "clip": True, "batch_size": 500})
        'DDPM, 250 steps, clipped'
        >>> sampler_in_words({"kind": "ddim", "steps": 50, "eta": 0.0, "clip": False})
        'DDIM, 50 steps, η = 0, not clipped'
        >>> sampler_in_words({})
        'not known'
    """
    if not sampler:
        return "not known"
    known = SamplerConfig.model_validate(sampler)
    parts = [known.kind.upper(), f"{known.steps} steps"]
    if known.kind == "ddim":
        parts.append(f"η = {known.eta:g}")
    parts.append("clipped" if known.clip else "not clipped")
    return ", ".join(parts)


def sample_sizes(points: Sequence[AuditResult]) -> str:
    """How many samples were drawn: one number, or the range.

    Example:
        >>> sample_sizes([])
        '–'
    """
    sizes = sorted({point.sample_size for point in points})
    if not sizes:
        return absent
    return size(sizes[0]) if len(sizes) == 1 else f"{size(sizes[0])} to {size(sizes[-1])}, by K"


def rule_in_words(rule: str) -> str:
    """What a threshold rule does.

    Example:
        >>> rule_in_words("fixed")
        'The thresholds are numbers fixed in advance.'
        >>> rule_in_words("my rule")
        'The thresholds follow the rule “my rule”.'
    """
    return RULES.get(rule.partition(":")[0], f"The thresholds follow the rule “{rule}”.")


def thresholds_in_words(points: Sequence[AuditResult]) -> str:
    """The two thresholds, or their ranges over K, in the distance's unit.

    Example:
        >>> thresholds_in_words([])
        'δm not found, δs not found'
    """
    known = [point.thresholds for point in points if point.thresholds]
    memorized = [info.memorized for info in known if info.memorized is not None]
    spurious = [info.spurious for info in known if info.spurious is not None]
    return f"δm {_range(memorized)}, δs {_range(spurious)}"


def _range(numbers: Sequence[float]) -> str:
    if not numbers:
        return "not found"
    ends = dict.fromkeys((value(min(numbers)), value(max(numbers))))
    return f"= {' to '.join(ends)}"
