"""One training size of a study: train, sample, measure; `spurion.studies.concluding` concludes.

Every stage leaves its result in the point's folder, under checksums, and is never computed twice; a stage
that was interrupted goes on where it was, and what was damaged since is told and made again. What goes wrong
with one model (a loss that is not a number) is recorded as a failed point; what goes wrong with the machine
(a full disk) stops the study.
"""

__all__ = [
    "PointTask",
    "concluded_from",
    "load_samples",
    "measure_point",
    "measured_from",
    "parameter_count",
    "point_data",
    "point_images",
    "train_point",
]

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor

from spurion.audits.ground import Ground
from spurion.audits.measurement import load_measurement, measure, save_measurement
from spurion.audits.sources import Images, drawn_set
from spurion.core.failures import FAILURES, one_sentence, raise_if_refused
from spurion.core.files import visible
from spurion.core.progress import Progress
from spurion.core.random import derive_seed
from spurion.core.store import AGAIN, Store
from spurion.core.tensors import Damaged, load_arrays, tell
from spurion.data import ImageSet, Split, load_split, nested_order
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.sampleset import sample_to_folder
from spurion.diffusion.training import is_trained, train
from spurion.phases.rules import ThresholdInfo
from spurion.studies.config import DataConfig, StudyConfig, common_size, sample_size_for
from spurion.studies.folder import timed, vectors_of


@dataclass(frozen=True)
class PointTask:
    """One training size to work on: plain data, so that it can travel to another process."""

    folder: Path
    config: StudyConfig
    train_size: int
    allow_download: bool = False
    ground: Ground | None = None

    @property
    def name(self) -> str:
        """What progress calls the point."""
        return f"K = {self.train_size}"

    @property
    def sample_size(self) -> int:
        """Number of samples at this training size."""
        return sample_size_for(self.config.sample_size, self.train_size)

    @property
    def thresholds(self) -> ThresholdInfo | None:
        """The thresholds, once they are known."""
        return None if self.ground is None else self.ground.thresholds

    @property
    def seed(self) -> int:
        """Seed of everything random at this training size."""
        return derive_seed(self.config.seed, "point", self.train_size)

    @property
    def measurement_file(self) -> Path:
        """Where the distances are stored."""
        return self.folder / "measurement.safetensors"


@lru_cache(maxsize=1)
def _split(data: DataConfig, allow_download: bool) -> Split:
    return load_split(
        data.source,
        holdout=data.holdout,
        allow_download=allow_download,
        resize=data.resize,
        value_range=data.value_range,
        clip=data.clip,
    )


def point_data(config: StudyConfig, allow_download: bool) -> tuple[ImageSet, ImageSet | None]:
    """All training images in the order in which they enter the subsets, and the held-out images."""
    split = _split(config.data, allow_download)
    seed = config.seed if config.data.subset_seed is None else config.data.subset_seed
    return split.train.subset(nested_order(len(split.train), seed)), split.holdout


def measure_point(task: PointTask, report: Progress) -> str:
    """Train, sample and measure one training size, as far as that is not done yet.

    Returns:
        An empty text, or one sentence on why the point failed.

    Raises:
        OSError: If the disk is full or cannot be written.
    """
    try:
        if not _is_measured(task):
            _measure(task, report)
        return ""
    except FAILURES as error:
        raise_if_refused(error, task.folder)
        return one_sentence(error)


def train_point(task: PointTask, images: Float[Tensor, "K *shape"], progress: Progress) -> Denoiser:
    """Train the model of one training size in the folder of the task, or go on with it.

    Raises:
        ValueError: As `spurion.diffusion.training.train`.
        TrainingDiverged: If the loss becomes NaN or infinite.
        OSError: If the folder cannot be written or the disk is full.
    """
    return train(
        images,
        task.config.denoiser,
        task.config.training,
        schedule=task.config.schedule.build(),
        seed=derive_seed(task.seed, "train"),
        folder=task.folder,
        progress=progress,
    )


def measured_from(folder: Path) -> str:
    """The weights that samples and distances of a point stem from, as the key of their seal."""
    return Store(folder, "train").fingerprint(".safetensors")


def concluded_from(folder: Path) -> str:
    """The samples and distances that classes and geometry of a point stand on, as the key of their seals."""
    return Store(folder, "measure").fingerprint()


def _is_measured(task: PointTask) -> bool:
    """Whether model, samples and distances are there as they were left.

    What is damaged is told and taken away, but for the model, which `train` looks after. Files of a former
    version, which have no seal, are sealed if they can be read.
    """
    store, folder = Store(task.folder, "measure"), task.folder
    files = {folder / "samples.npz": load_samples, task.measurement_file: load_measurement}
    sealed = store.key is not None
    damage = store.damage() if sealed else {}
    damage |= _unreadable({task.measurement_file: load_measurement} if sealed else files)
    for path, error in damage.items():
        tell(error, AGAIN)
        path.unlink(missing_ok=True)
    if not all(path.exists() for path in files):
        return False
    key = measured_from(folder)
    if store.key is None:
        store.put(*files, key=key)
    return store.fits(key) and (not key or is_trained(folder))


def _unreadable(files: Mapping[Path, Callable[[Path], Any]]) -> dict[Path, Damaged]:
    wrong = {}
    for path, read in files.items():
        try:
            if path.exists():
                read(path)
        except Damaged as error:
            wrong[path] = error
    return wrong


def _measure(task: PointTask, report: Progress) -> None:
    config = task.config
    pool, _ = point_data(config, task.allow_download)
    with timed(task.folder, "train"):
        denoiser = train_point(task, pool.images[: task.train_size], partial(report, task.name, "train"))
    store, files = Store(task.folder, "measure"), (task.folder / "samples.npz", task.measurement_file)
    key = measured_from(task.folder)
    if store.key is not None and not store.fits(key):  # the model was made again, with other numbers
        store.remove(*files)
    with timed(task.folder, "sample"):
        samples = sample_to_folder(
            denoiser,
            task.sample_size,
            config.sampler,
            seed=derive_seed(task.seed, "sample"),
            folder=task.folder,
            progress=partial(report, task.name, "sample"),
        )
    if store.key is not None and not store.damage():
        return
    with timed(task.folder, "measure"):
        images, seed = point_images(task, samples), derive_seed(task.seed, "measure")
        distance = config.load_distance(task.allow_download).kept(vectors_of(task.folder))
        told = partial(report, task.name)
        found = measure(
            *images.tensors, distance=distance, seed=seed, sample_size=common_size(config), progress=told
        )
        save_measurement(found, task.measurement_file)
    store.put(*files, key=key)


def load_samples(path: Path) -> Float[Tensor, "n channels height width"]:
    """The samples of a point.

    Raises:
        Damaged: If the file is damaged.
    """
    return torch.from_numpy(load_arrays(path, "samples")["samples"])


def point_images(task: PointTask, samples: Float[Tensor, "n *shape"]) -> Images:
    """The sets of the audit of a point."""
    pool, holdout = point_data(task.config, task.allow_download)
    return Images(pool.subset(range(task.train_size)), drawn_set(samples, task.name), holdout)


def parameter_count(model: Path) -> int:
    """Number of weights in a model folder."""
    total = 0
    for path in visible(model.rglob("*.safetensors")):
        with safe_open(path, "pt") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total
