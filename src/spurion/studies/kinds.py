"""One door for both kinds of study: of images, and of the circle."""

__all__ = ["STUDY_KINDS", "plan", "study"]

import os
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path

from spurion.core.arguments import FLAG, FUNCTION, Kind, check_arguments
from spurion.core.engine import Report
from spurion.studies.circle.config import CircleConfig, is_circle
from spurion.studies.circle.results import CircleResult
from spurion.studies.circle.run import CirclePlan, circle_plan, circle_study
from spurion.studies.config import StudyConfig
from spurion.studies.plan import Plan
from spurion.studies.plan import plan as plan_images
from spurion.studies.results import StudyResult
from spurion.studies.sweep import no_report
from spurion.studies.sweep import study as study_images

_TEXTS = 'a list of texts such as "seed=1"'

STUDY_KINDS: dict[str, Kind] = {
    "what": (str | os.PathLike | StudyConfig | CircleConfig, "a recipe's name, a path or a configuration"),
    "out": (str | os.PathLike, "the path of a folder"),
    "overrides": (list | tuple, _TEXTS),
    "device": (str | None, 'a text such as "cpu"'),
    "workers": (Integral | None, "a whole number"),
    "allow_download": FLAG,
    "report": FUNCTION,
}
"""What the arguments of a study must be."""

PLANNED = ("what", "overrides", "device", "workers", "allow_download")
"""Those that a plan has too."""


def study(
    what: str | Path | StudyConfig | CircleConfig,
    *,
    out: Path | str,
    overrides: Sequence[str] = (),
    device: str | None = None,
    workers: int | None = None,
    allow_download: bool = False,
    report: Report = no_report,
) -> StudyResult | CircleResult:
    """Run a study, or go on with one that was interrupted.

    Arguments:
        what: A recipe's name, "circle", a YAML file, or a configuration.
        out: The run folder.
        overrides: Fields to set, as ``a.b=value``.
        device: Where to train and sample ("auto", "cpu", "cuda", "mps"); the circle knows the CPU alone.
        workers: Number of processes; by default one for each core on a CPU, else one. Changes no result.
        allow_download: Whether a missing data set may be downloaded; the circle needs none.
        report: Called with the progress of each part.

    Returns:
        What `study.json` holds.

    Raises:
        ValueError: If the configuration is wrong, the data are missing, or `out` holds another study.
        OSError: If the folder cannot be written or the disk is full.
        RuntimeError: If a worker process died.
    """
    check_arguments(locals(), STUDY_KINDS)
    _check_overrides(overrides)
    if isinstance(what, CircleConfig) or (not isinstance(what, StudyConfig) and is_circle(what)):
        _refuse_download(allow_download)
        return circle_study(what, out=out, overrides=overrides, device=device, workers=workers, report=report)
    return study_images(
        what,
        out=out,
        overrides=overrides,
        device=device,
        workers=workers,
        allow_download=allow_download,
        report=report,
    )


def plan(
    what: str | Path | StudyConfig | CircleConfig,
    *,
    overrides: Sequence[str] = (),
    device: str | None = None,
    workers: int | None = None,
    allow_download: bool = False,
) -> Plan | CirclePlan:
    """Resolve a study and estimate what it takes; nothing is written. Arguments as for `study`.

    Raises:
        ValueError: If the configuration is wrong.
    """
    check_arguments(locals(), {name: STUDY_KINDS[name] for name in PLANNED})
    _check_overrides(overrides)
    if isinstance(what, CircleConfig) or (not isinstance(what, StudyConfig) and is_circle(what)):
        _refuse_download(allow_download)
        return circle_plan(what, overrides=overrides, device=device, workers=workers)
    return plan_images(
        what, overrides=overrides, device=device, workers=workers, allow_download=allow_download
    )


def _check_overrides(overrides: Sequence[object]) -> None:
    for text in overrides:
        if not isinstance(text, str):
            raise ValueError(f"`overrides` must be {_TEXTS}, got {type(text).__name__} in it.")


def _refuse_download(allowed: bool) -> None:
    if allowed:
        raise ValueError("`--allow-download` does not apply to the circle, which needs no data set.")
