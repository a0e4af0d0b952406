"""What an audit was asked to do, checked before anything is read."""

__all__ = ["AUDIT_KINDS", "DEFAULT_RULE", "Request", "check_sources", "condition_of", "rule_for"]

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import get_args

import numpy as np
from torch import Tensor

from spurion.audits.claims import Asked
from spurion.audits.classes import AuditRules
from spurion.core.arguments import FLAG, PATH, Kind
from spurion.core.progress import Progress
from spurion.data import Declared, ImageSet
from spurion.data.open import Source
from spurion.diffusion.samplers import SamplerConfig
from spurion.neighbors import Distance, Searcher, TransformedSearch, nearest
from spurion.phases.gate import Condition, decide, parse_condition
from spurion.phases.rules import ValleyRule, parse_rule

DEFAULT_RULE = "null:0.01"
"""The rule of the thresholds where none is named."""

_IMAGES = "an image set, a tensor, an array or a path"
_SOURCE = PATH[0] | ImageSet | Tensor | np.ndarray

AUDIT_KINDS: dict[str, Kind] = {
    "train": (_SOURCE, _IMAGES),
    "samples": (_SOURCE | None, _IMAGES),
    "holdout": (_SOURCE | None, _IMAGES),
    "model": (str | os.PathLike | None, "the path of a folder"),
    "generate": (Integral | None, "a whole number"),
    "sampler": (SamplerConfig | None, "a SamplerConfig"),
    "thresholds": (str | None, 'a text such as "null:0.01"'),
    "distance": (str | Distance, "a distance or the name of one"),
    "transforms": (str | tuple | list | None, 'a text such as "all"'),
    "fail_if": (str | None, 'a text such as "memorized > 0.01"'),
    "geometry": (Integral, "a whole number"),
    "resize": (Integral | None, "a whole number"),
    "value_range": (tuple | list | Mapping | None, "two numbers such as (0, 1), or such numbers by set"),
    "out": (str | os.PathLike | None, "the path of a folder"),
    "cache": (str | os.PathLike | None, "the path of a folder"),
    "clip": FLAG,
    "redact": FLAG,
    "allow_download": FLAG,
    "seed": (Integral, "a whole number"),
    "device": (str, 'a text such as "cpu"'),
    "progress": (Callable | None, "a function"),
}
"""What the arguments of an audit must be."""


@dataclass(frozen=True)
class Request:
    """What an audit was asked to do, beside its images.

    Attributes:
        rule: The rule of the thresholds.
        condition: What the gate decides; None if nothing was asked.
        distance: The distance.
        transforms: Transforms of the training images that are looked at too, names in `TRANSFORMS`.
        seed: Seed of everything random.
        rules: The rules shown beside the main one.
        resize: Side to which images are resized; None for none.
        value_range: What stands for black and white in arrays, as it was declared; None if nothing was.
        clip: Whether values outside the range are clipped.
        points: Points of each class at which geometry is measured; 0 for none.
        redact: Whether names and images are left out.
        progress: Called with the stage and how far it is.

    Raises:
        ValueError: If the seed is below 0.
    """

    rule: str
    condition: Condition | None
    distance: Distance
    transforms: tuple[str, ...]
    seed: int
    resize: int | None
    value_range: Declared | None
    clip: bool
    points: int
    redact: bool
    progress: Progress
    rules: AuditRules = field(default_factory=AuditRules)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"`seed` must be at least 0, got {self.seed}.")

    @property
    def search(self) -> Searcher:
        """What finds neighbors."""
        return TransformedSearch(self.transforms) if self.transforms else nearest


def check_sources(
    samples: Source | None, model: Path | str | None, generate: int | None, points: int
) -> None:
    """Refuse what does not go together: samples are given or drawn, and a model needs something to do.

    Raises:
        ValueError: If it does not.
    """
    if (samples is None) == (generate is None):
        raise ValueError("either `samples` or `model` with `generate` must be given, and not both.")
    if generate is not None and generate < 2:
        raise ValueError(f"`generate` must be at least 2, got {generate}.")
    if model is None and (generate is not None or points):
        raise ValueError("`generate` and `geometry` need a `model`.")
    if model is not None and generate is None and not points:
        raise ValueError("`model` needs `generate`, or with samples that are given `geometry`.")
    if points and points < 6:
        raise ValueError(f"`geometry` must be at least 6 points of each class, got {points}.")


def rule_for(thresholds: str | None, *, gate: bool = False) -> str:
    """The rule that was asked for, or the default.

    Arguments:
        thresholds: The rule; None for the default.
        gate: Whether it is to decide anything.

    Raises:
        ValueError: If it cannot be read, or is to decide and only describes.
    """
    rule = DEFAULT_RULE if thresholds is None else thresholds
    if isinstance(parse_rule(rule), ValleyRule) and gate:
        raise ValueError(
            "`fail_if` cannot be decided by `thresholds=valley`: a valley of the histogram describes these "
            f"samples, and takes two kinds of images for copies and the rest; use {DEFAULT_RULE}."
        )
    return rule


def condition_of(text: str) -> Condition:
    """Read a condition, before any work is done for it.

    Raises:
        ValueError: If it cannot be read, or asks for a share that is not known.
    """
    condition = parse_condition(text)
    decide(condition, dict.fromkeys(get_args(Asked)), 0)
    return condition
