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
    vectors/                   those of a network's distance, shared by all points, until the study is done

A study of the circle (`spurion.circle`) has `pieces/`, `landscapes/` and `trained/` instead.

One process at a time works in a run folder: a lock, released by the system when its holder ends, says so.
"""

__all__ = ["RunFolder", "stage_seconds", "timed", "vectors_of"]

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from spurion.core.config import Config, build_config
from spurion.core.files import read_json, write_json, write_text
from spurion.studies.config import load_config

RESULTS = ("points", "pieces")
"""Folders of results: of a study of images, and of the circle."""

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
            yield
        finally:
            lock.release()

    def _claim(self, config: Config) -> None:
        values = config.model_dump(mode="json")
        if not self.config_file.exists():
            if self.study_file.exists() or any((self.root / name).exists() for name in RESULTS):
                raise ValueError(
                    f"{self.root} holds a study without its config.yaml; put the file back "
                    f"or choose another `--out`."
                )
            write_text(self.config_file, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
            return
        found = load_config(self.config_file)
        if found.get("kind") != values.get("kind"):
            raise ValueError(f"{self.root} holds a study of another kind; choose another `--out`.")
        stored = build_config(type(config), found, str(self.config_file)).model_dump(mode="json")
        difference = _first_difference(stored, values)
        if difference:
            field, old, new = difference
            raise ValueError(
                f"{self.root} holds a study with another configuration: `{field}` is {old!r} there and "
                f"{new!r} now; choose another `--out`, or ask for the same configuration to continue."
            )


def _first_difference(old: Any, new: Any, path: str = "") -> tuple[str, Any, Any] | None:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            found = _first_difference(old.get(key), new.get(key), f"{path}.{key}" if path else key)
            if found:
                return found
        return None
    return None if old == new else (path, old, new)


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
    return read_json(path) if path.exists() else {}
