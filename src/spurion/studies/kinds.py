"""One door for every kind of study: of images, and those in `KINDS`.

A study of another kind is a package of its own, with everything that belongs to it. It has a module with the
functions of `StudyKind`, and a line in `KINDS`; its configuration has a field `kind` with its name, and the
schema of its `study.json` is called ``spurion.NAME/VERSION``. A kind that trains on the images of a data set,
as studies of images do, says so by ``of_images = True``. One is reached by options and not by a name: the
grid, a study for each value of some fields and each seed.
"""

__all__ = [
    "KINDS",
    "STUDY_KINDS",
    "StudyKind",
    "kind_asked_for",
    "kind_stored",
    "of_images",
    "plan",
    "study",
]

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from numbers import Integral
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from spurion.core.arguments import FLAG, FUNCTION, Kind, check_arguments
from spurion.core.config import Config, StoredResult
from spurion.core.files import read_json
from spurion.core.progress import Progress, silent
from spurion.studies.config import StudyConfig, load_config
from spurion.studies.planning import Plan
from spurion.studies.planning import plan as plan_images
from spurion.studies.results import StudyResult
from spurion.studies.sweep import study as study_images

KINDS = {
    "circle": "spurion.circle.kind",
    "grid": "spurion.grid.kind",
    "prompts": "spurion.cli.prompts_study",
    "stable-diffusion": "spurion.cli.prompts_study",
}
"""Studies of another kind than of images: by their name, which is that of their recipe, their module."""

STORED = ("study.json", "prompts.json")
"""What results of studies, and of examinations of prompts, are called."""

_TEXTS = 'a list of texts such as "seed=1"'

STUDY_KINDS: dict[str, Kind] = {
    "what": (str | os.PathLike | Config, "a recipe's name, a path or a configuration"),
    "out": (str | os.PathLike, "the path of a folder"),
    "overrides": (list | tuple, _TEXTS),
    "device": (str | None, 'a text such as "cpu"'),
    "workers": (Integral | None, "a whole number"),
    "allow_download": FLAG,
    "over": (Mapping | None, "a mapping from fields to lists of values"),
    "seeds": (list | tuple, "a list of whole numbers"),
    "report": FUNCTION,
}
"""What the arguments of a study must be."""

PLANNED = ("what", "overrides", "device", "workers", "allow_download", "over", "seeds")
"""Those that a plan has too."""


@runtime_checkable
class StudyKind(Protocol):
    """What the module of a kind offers; what the functions are given is what `study` is."""

    def study(
        self,
        what: str | Path | Config,
        *,
        out: Path | str,
        overrides: Sequence[str],
        device: str | None,
        workers: int | None,
        report: Progress,
        **more: Any,
    ) -> StoredResult:
        """Run a study, or go on with it; one of images takes `allow_download` too."""

    def plan(
        self,
        what: str | Path | Config,
        *,
        overrides: Sequence[str],
        device: str | None,
        workers: int | None,
        **more: Any,
    ) -> Any:
        """Resolve a study and estimate what it takes."""

    def page(self, folder: Path) -> str:
        """Draw the figures of a run folder and make its page."""

    def tell_plan(self, plan: Any, as_json: bool) -> None:
        """Print a plan."""

    def tell_result(self, result: Any, page: Path, as_json: bool) -> None:
        """Print what was found; a study that failed as a whole exits."""


def study(
    what: str | Path | Config,
    *,
    out: Path | str,
    overrides: Sequence[str] = (),
    device: str | None = None,
    workers: int | None = None,
    allow_download: bool = False,
    over: Mapping[str, Sequence[Any]] | None = None,
    seeds: Sequence[int] = (),
    report: Progress = silent,
) -> StudyResult | StoredResult:
    """Run a study, or go on with one that was interrupted.

    With `over` or `seeds` it is a grid of studies in one folder, one for every combination of values and
    every seed, and the result is a `spurion.grid.GridResult`.

    Arguments:
        what: A recipe's name, "circle", a YAML file, or a configuration.
        out: The run folder.
        overrides: Fields to set, as ``a.b=value``.
        device: Where to train and sample ("auto", "cpu", "cuda", "mps"); the circle knows the CPU alone.
        workers: Number of processes; by default one for each core on a CPU, else one. Changes no result.
        allow_download: Whether a missing data set may be downloaded; the circle needs none.
        over: For a grid: the values of each field that varies, such as ``{"denoiser.width": (32, 64)}``.
        seeds: For a grid: the seeds.
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
    if over or seeds:
        what, overrides, device = _grid(what, overrides, device, over, seeds), (), None
    kind = kind_asked_for(what)
    if kind is not None:
        more = _downloading(kind, allow_download)
        return kind.study(
            what, out=out, overrides=overrides, device=device, workers=workers, report=report, **more
        )
    return study_images(
        cast(str | Path | StudyConfig, what),
        out=out,
        overrides=overrides,
        device=device,
        workers=workers,
        allow_download=allow_download,
        report=report,
    )


def plan(
    what: str | Path | Config,
    *,
    overrides: Sequence[str] = (),
    device: str | None = None,
    workers: int | None = None,
    allow_download: bool = False,
    over: Mapping[str, Sequence[Any]] | None = None,
    seeds: Sequence[int] = (),
) -> Plan | Any:
    """Resolve a study and estimate what it takes; nothing is written. Arguments as for `study`.

    Raises:
        ValueError: If the configuration is wrong.
    """
    check_arguments(locals(), {name: STUDY_KINDS[name] for name in PLANNED})
    _check_overrides(overrides)
    if over or seeds:
        what, overrides, device = _grid(what, overrides, device, over, seeds), (), None
    kind = kind_asked_for(what)
    if kind is not None:
        more = _downloading(kind, allow_download)
        return kind.plan(what, overrides=overrides, device=device, workers=workers, **more)
    return plan_images(
        cast(str | Path | StudyConfig, what),
        overrides=overrides,
        device=device,
        workers=workers,
        allow_download=allow_download,
    )


def kind_asked_for(what: str | Path | Config, *, several: bool = False) -> StudyKind | None:
    """The kind of study that a recipe's name, a YAML file or a configuration asks for; None for images.

    Arguments:
        what: What is asked for.
        several: Whether it is asked for over values or seeds, as a grid.

    Raises:
        ValueError: If it is asked for so, and is no study of images.
    """
    if several:
        if kind_asked_for(what) is not None:
            raise ValueError("`over` and `seeds` are for a study of images; leave them out.")
        return _kind("grid")
    if isinstance(what, Config):
        return _kind(getattr(what, "kind", None))
    if str(what) in KINDS or Path(what).suffix not in {".yaml", ".yml"}:
        return _kind(str(what))
    try:
        return _kind(load_config(what).get("kind"))
    except ValueError:
        return None


def kind_stored(folder: Path) -> StudyKind | None:
    """The kind of the study or of the examination of prompts that a folder holds; None for images, or none.

    Raises:
        ValueError: If its result is damaged.
    """
    path = next((folder / name for name in STORED if (folder / name).is_file()), None)
    values = None if path is None else read_json(path)
    schema = str(values.get("schema", "")) if isinstance(values, dict) else ""
    return _kind(schema.removeprefix("spurion.").partition("/")[0])


def _kind(name: object) -> StudyKind | None:
    if not isinstance(name, str) or name not in KINDS:
        return None
    return cast(StudyKind, import_module(KINDS[name]))


def of_images(kind: StudyKind | None) -> bool:
    """Whether studies of a kind train on the images of a data set, with thresholds."""
    return kind is None or bool(getattr(kind, "of_images", False))


def _grid(
    what: str | Path | Config,
    overrides: Sequence[str],
    device: str | None,
    over: Mapping[str, Sequence[Any]] | None,
    seeds: Sequence[int],
) -> Config:
    """The configuration of a grid."""
    for field, values in (over or {}).items():
        if not isinstance(field, str) or not isinstance(values, list | tuple):
            raise ValueError(f"`over` must be {STUDY_KINDS['over'][1]}, got {type(values).__name__} in it.")
    kind_asked_for(what, several=True)
    make = import_module("spurion.grid.config").grid_config
    return cast(Config, make(what, overrides, device, over, seeds))


def _downloading(kind: StudyKind, allowed: bool) -> dict[str, bool]:
    """What a kind is told of downloads: nothing where it needs no data set."""
    if of_images(kind):
        return {"allow_download": allowed}
    _refuse_download(allowed)
    return {}


def _check_overrides(overrides: Sequence[object]) -> None:
    for text in overrides:
        if not isinstance(text, str):
            raise ValueError(f"`overrides` must be {_TEXTS}, got {type(text).__name__} in it.")


def _refuse_download(allowed: bool) -> None:
    if allowed:
        raise ValueError("`--allow-download` does not apply to a study that needs no data set; leave it out.")
