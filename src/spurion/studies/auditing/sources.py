"""The images of an audit: read from wherever they are, or drawn from a model."""

__all__ = ["ROLES", "Images", "Model", "open_sets"]

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from spurion.data import ImageSet, declared_for, open_images
from spurion.data.arrays import ValueRange
from spurion.data.open import Source
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.device import DeviceName, choose_device
from spurion.diffusion.folder import folder_hash, load_denoiser
from spurion.diffusion.samplers import SamplerConfig, sample
from spurion.diffusion.sampleset import sample_to_folder
from spurion.studies.measurement import Stages

ROLES = ("training images", "samples", "held-out images")
"""What sets without a name of their own are called."""


@dataclass(frozen=True)
class Model:
    """A model, and how to sample it.

    Attributes:
        denoiser: The model.
        name: What results call it: the name of its folder, with the one above it where that is just `model`.
        sha256: The hash of its weights and configurations.
        generate: How many samples to draw; None if samples are given.
        sampler: How to draw them.
        seed: The seed of the whole set of samples; sample i depends on it and on i alone.
    """

    denoiser: Denoiser
    name: str
    sha256: str
    generate: int | None
    sampler: SamplerConfig
    seed: int

    @classmethod
    def load(
        cls,
        folder: Path | str,
        generate: int | None,
        sampler: SamplerConfig,
        *,
        seed: int,
        device: DeviceName = "auto",
    ) -> "Model":
        """Load a model folder, or one with a folder `model` in it.

        Raises:
            ValueError: If there is no model or it is damaged.
        """
        folder = Path(folder)
        inner = folder / "model" if (folder / "model").is_dir() else folder
        denoiser = load_denoiser(inner, device=choose_device(device))
        sampler = sampler.within(denoiser.schedule)
        return cls(denoiser, _name(folder.resolve()), folder_hash(inner), generate, sampler, seed)

    def draw(self, folder: Path | None, progress: Stages) -> ImageSet:
        """Draw its samples, into `samples.npz` of a folder if there is one, where they are continued.

        Raises:
            ValueError: If the folder holds samples of another request.
        """
        count = self.generate or 0

        def told(done: int, total: int) -> None:
            progress("sample", done, total)

        if folder is None:
            drawn = sample(self.denoiser, count, self.sampler, seed=self.seed, progress=told).float()
        else:
            drawn = sample_to_folder(
                self.denoiser, count, self.sampler, seed=self.seed, folder=folder, progress=told
            )
        return ImageSet(drawn.cpu(), f"samples of {self.name}")


def _name(folder: Path) -> str:
    return f"{folder.parent.name}/model" if folder.name == "model" else folder.name


@dataclass(frozen=True)
class Images:
    """The sets of an audit, of one shape."""

    train: ImageSet
    samples: ImageSet
    holdout: ImageSet | None

    def nameless(self) -> "Images":
        """The same sets under the names of their roles, and with nameless images."""
        return Images(
            replace(self.train, name=ROLES[0], item_names=None),
            replace(self.samples, name=ROLES[1], item_names=None),
            None if self.holdout is None else replace(self.holdout, name=ROLES[2], item_names=None),
        )


def open_sets(
    train: Source,
    samples: Source | ImageSet,
    holdout: Source | None,
    *,
    resize: int | None = None,
    value_range: ValueRange | None = None,
    allow_download: bool = False,
) -> Images:
    """Read the sets; floats in memory are in [-1, 1] if no range is declared, as everywhere in the package.

    Raises:
        ValueError: As `open_images`.
    """

    def opened(source: Source, role: str) -> ImageSet:
        ends = declared_for(source, value_range)
        if not isinstance(source, Tensor | np.ndarray):
            return open_images(source, resize=resize, value_range=ends, allow_download=allow_download)
        ends = ends or ((-1, 1) if "float" in str(source.dtype) else None)
        return replace(open_images(source, value_range=ends, resize=resize), name=role)

    return Images(
        opened(train, ROLES[0]),
        opened(samples, ROLES[1]),
        None if holdout is None else opened(holdout, ROLES[2]),
    )
