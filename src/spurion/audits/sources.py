"""The images of an audit: read from wherever they are, or drawn from a model."""

__all__ = ["ROLES", "Images", "Model", "drawn_set", "open_sets"]

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from spurion.audits.results import ModelInfo
from spurion.core.progress import Progress
from spurion.data import Declared, ImageSet, open_images, ranges_for
from spurion.data.numbers import array_type
from spurion.data.open import Source
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.device import DeviceName, choose_device
from spurion.diffusion.folder import folder_hash, load_denoiser
from spurion.diffusion.samplers import SamplerConfig, sample
from spurion.diffusion.sampleset import sample_to_folder

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

    def info(self, redact: bool) -> ModelInfo:
        """What there is to say of it; its name only if it is not to be left out."""
        drawn = self.generate is not None
        return ModelInfo(
            name="model" if redact else self.name,
            sha256=self.sha256,
            sampler=self.sampler.model_dump(mode="json") if drawn else None,
            seed=self.seed if drawn else None,
        )

    def draw(self, folder: Path | None, progress: Progress) -> ImageSet:
        """Draw its samples, into `samples.npz` of a folder if there is one, where they are continued.

        Raises:
            ValueError: If the folder holds samples of another request.
        """
        count, told = self.generate or 0, partial(progress, "sample")
        if folder is None:
            drawn = sample(self.denoiser, count, self.sampler, seed=self.seed, progress=told).float()
        else:
            drawn = sample_to_folder(
                self.denoiser, count, self.sampler, seed=self.seed, folder=folder, progress=told
            )
        return drawn_set(drawn.cpu(), self.name)


def drawn_set(samples: Float32[Tensor, "n *shape"], model: str) -> ImageSet:
    """The samples of a model as a set; they reach beyond [-1, 1] if they were drawn without clipping."""
    beyond = int((samples.flatten(1).abs().amax(dim=1) > 1).sum())
    return ImageSet(samples.clamp(-1, 1), f"samples of {model}", clipped=beyond)


def _name(folder: Path) -> str:
    return f"{folder.parent.name}/model" if folder.name == "model" else folder.name


@dataclass(frozen=True)
class Images:
    """The sets of an audit, of one shape."""

    train: ImageSet
    samples: ImageSet
    holdout: ImageSet | None

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """The images of the three sets, with shape (n, C, H, W)."""
        return self.train.images, self.samples.images, None if self.holdout is None else self.holdout.images

    def nameless(self) -> "Images":
        """The same sets under the names of their roles, and with nameless images."""
        return Images(
            _nameless(self.train, ROLES[0]),
            _nameless(self.samples, ROLES[1]),
            None if self.holdout is None else _nameless(self.holdout, ROLES[2]),
        )


def _nameless(images: ImageSet, role: str) -> ImageSet:
    return replace(images, name=role, item_names=None, reading=images.reading.nameless(), rights=None)


def open_sets(
    train: Source,
    samples: Source | ImageSet,
    holdout: Source | None,
    *,
    resize: int | None = None,
    value_range: Declared | None = None,
    clip: bool = False,
    allow_download: bool = False,
) -> Images:
    """Read the sets; floats in memory are in [-1, 1] if no range is declared, as everywhere in the package.

    Raises:
        ValueError: As `open_images` and `ranges_for`.
    """
    sources = {"train": train, "samples": samples, "holdout": holdout}
    declared = ranges_for(value_range, sources)

    def opened(source: Source, name: str, role: str) -> ImageSet:
        ends = declared[name]
        if not isinstance(source, Tensor | np.ndarray):
            return open_images(
                source, resize=resize, value_range=ends, clip=clip, allow_download=allow_download
            )
        ends = ends or ((-1, 1) if array_type(source).kind == "f" else None)
        return replace(open_images(source, value_range=ends, resize=resize, clip=clip), name=role)

    return Images(
        opened(train, "train", ROLES[0]),
        opened(samples, "samples", ROLES[1]),
        None if holdout is None else opened(holdout, "holdout", ROLES[2]),
    )
