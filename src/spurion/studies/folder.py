"""The run folder: where a study keeps everything it has done, so that it can go on.

::

    config.yaml                the resolved configuration, written before anything else
    study.json  report.html  figures/
    points/000064/             one folder for each training size
        model/                 the trained model, in the diffusers layout
        training.jsonl         its loss log
        samples.npz            the samples: float32 (N, C, H, W) in [-1, 1]
        samples.csv            one row a sample: label, distances, neighbors
        gallery.npz            images for the report
        measurement.safetensors, point.json, seconds.json
        replicates.npz         class shares of the study drawn anew, for intervals of capacities
        flow.json, flow.npz     where the samples flow under the iterated denoiser
        .seals/                checksums of all these; see `spurion.core.store`
    anchor.safetensors         how near real images come to each other, which the `null` rule hangs on
    vectors/                   those of a network's distance, shared by all points, until the study is done
    damage.log                 what was damaged and made again, if anything was

A study of the circle (`spurion.circle`) has `pieces/`, `landscapes/` and `trained/` instead, one of studies
(`spurion.grid`) `cells/`, each a run folder of its own.

One process at a time works in a run folder: a lock, released by the system when its holder ends, says so.
"""

__all__ = ["RunFolder", "stage_seconds", "timed", "vectors_of"]

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from spurion.core.config import Config, StoredResult, build_config
from spurion.core.files import read_json, write_json, write_text
from spurion.core.store import Store, first_difference
from spurion.core.tensors import Damaged, tell
from spurion.studies.config import load_config

RESULTS = ("points", "pieces", "cells")
"""Folders of results: of a study of images, of the circle, and of a study of studies."""

LOCK_PATIENCE = 5.0
"""Seconds to wait for the workers of a killed run, which notice within a second that they are alone."""


class RunFolder:
    """The files of one study; see the module.

    Arguments:
        root: The folder; made when a study opens it.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.config_file = self.root / "config.yaml"
        self.study_file = self.root / "study.json"

    def point(self, train_size: int) -> Path:
        """Folder of one training size."""
        return self.root / "points" / f"{train_size:06d}"

    @property
    def vectors(self) -> Path:
        """Folder of the vectors of the distance, which all points share until the study is done."""
        return vectors_of(self.point(0))

    def write_study(self, result: StoredResult) -> None:
        """Write `study.json` and seal it; an old seal goes first."""
        store = Store(self.root, "study")
        store.remove()
        store.keep(self.study_file, result.to_json())

    @contextmanager
    def opened(self, config: Config) -> Iterator[None]:
        """Hold the folder for one study.

        Raises:
            ValueError: If the folder belongs to another configuration or another process is working in it.
            OSError: If it cannot be written.
        """
        if self.root.exists() and not self.root.is_dir():
            raise ValueError(f"{self.root} is a file; give `--out` a folder.")
        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / ".lock", timeout=LOCK_PATIENCE)
        try:
            lock.acquire()
        except Timeout:
            raise ValueError(
                f"Another process is working in {self.root}; wait for it or choose another `--out`."
            ) from None
        try:
            self._claim(config)
            with _damage_logged(self.root / "damage.log"):
                yield
        finally:
            lock.release()

    def _claim(self, config: Config) -> None:
        values = config.model_dump(mode="json")
        if not self.config_file.exists():
            if self.study_file.exists() or any((self.root / name).exists() for name in RESULTS):
                raise ValueError(
                    f"{self.root} holds a study without its config.yaml; put the file back or choose another "
                    "`--out`."
                )
            write_text(self.config_file, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
            return
        found = load_config(self.config_file)
        if found.get("kind") != values.get("kind"):
            raise ValueError(f"{self.root} holds a study of another kind; choose another `--out`.")
        stored = build_config(type(config), found, str(self.config_file)).model_dump(mode="json")
        difference = first_difference(stored, values)
        if difference:
            field, old, new = difference
            raise ValueError(
                f"{self.root} holds a study with another configuration: `{field}` is {old!r} there and "
                f"{new!r} now; choose another `--out`, or ask for the same configuration to continue."
            )


@contextmanager
def _damage_logged(path: Path) -> Iterator[None]:
    """Write what is told of damage to a file as well; without any there is none."""
    logger = logging.getLogger("spurion")
    handlers: list[logging.Handler] = [logging.FileHandler(path, encoding="utf-8", delay=True)]
    handlers[0].setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    if not logger.hasHandlers() and logging.lastResort is not None:
        handlers.append(logging.lastResort)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
        handlers[0].close()


def vectors_of(point: Path) -> Path:
    """The folder of vectors that a point shares with the other points of its study."""
    return point.parents[1] / "vectors"


@contextmanager
def timed(folder: Path, stage: str) -> Iterator[None]:
    """Add the wall time of a stage to the point's `seconds.json`."""
    start = time.monotonic()
    yield
    seconds = stage_seconds(folder)
    seconds[stage] = round(seconds.get(stage, 0.0) + time.monotonic() - start, 3)
    write_json(folder / "seconds.json", seconds)


def stage_seconds(folder: Path) -> dict[str, float]:
    """Wall time of the stages a point has finished."""
    path = folder / "seconds.json"
    try:
        return {str(name): float(seconds) for name, seconds in read_json(path).items()}
    except FileNotFoundError:
        return {}
    except (AttributeError, TypeError, ValueError):
        tell(Damaged(f"{path} is damaged."), "times are counted anew")
        path.unlink()
        return {}
