"""The plain words for classes, samplers, sample sizes, and thresholds."""

__all__ = [
    "DEFINITIONS",
    "LEAKING",
    "counted_among",
    "rules_in_words",
    "sample_sizes",
    "sampler_in_words",
    "thresholds_in_words",
]

from collections.abc import Sequence
from typing import Any

from spurion.audits.results import NO_CLOSER, AuditResult
from spurion.diffusion.samplers import SamplerConfig
from spurion.phases.rule_words import among, rule_in_words
from spurion.statistics.numbers import absent, size, value

DEFINITIONS = {
    "memorized": "An image of the training set, copied: the nearest training image is at most δm away.",
    "spurious": "Nobody’s training image, and yet not unique: the model made (nearly) the same image again, "
    "at most δs away, though no training image is within δm.",
    "generalized": "Neither: no training image and no other sample is that near. Nothing more is claimed: "
    "the word says nothing about how good the image is.",
}
"""The three classes in plain words; each sample belongs to exactly one."""

LEAKING = (
    f"Where the samples of a model still lie closer to the training set than to images it never saw, it is "
    f"still leaking, and generalized is called “{NO_CLOSER}” there."
)
"""Added to the definition of generalized where it applies."""


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


def rules_in_words(points: Sequence[AuditResult]) -> tuple[str, ...]:
    """What the threshold rules do that were used, each once."""
    return tuple(dict.fromkeys(rule_in_words(p.thresholds) for p in points if p.thresholds))


def counted_among(points: Sequence[AuditResult]) -> str:
    """At which number of samples repetitions are counted; empty where it differs, or is that of all.

    Example:
        >>> counted_among([])
        ''
    """
    found = {among(point.thresholds) for point in points if point.thresholds}
    return found.pop() if len(found) == 1 else ""


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
