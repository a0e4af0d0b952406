"""Weights of LPIPS: what is read of a file, and what is made at random.

A ``.pth`` file must be the published one: its SHA-256 is checked, and it is read without running code from
it. A ``.safetensors`` file may hold any weights of the right names and shapes; results say so.
"""

__all__ = [
    "Weights",
    "checked_hash",
    "in_folder",
    "layers_of",
    "linear_of",
    "random_seed",
    "random_weights",
    "read_state",
    "shown",
]

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Generator, Tensor

from spurion.neighbors.lpips.backbones import Backbone

SHOWN_DIGITS = 16


@dataclass(frozen=True)
class Weights:
    """Weights of LPIPS and what results say of them.

    Attributes:
        features: The state of the network's layers, float32.
        linear: The weights of each tap, at least 0, each with shape (C_l,).
        source: Files and hashes.
        mark: Empty for the published weights; else what the distance's name carries in brackets.
    """

    features: dict[str, Tensor]
    linear: tuple[Float[Tensor, " _"], ...]
    source: str
    mark: str


def random_seed(weights: str | None) -> int | None:
    """The seed of "random:SEED", or None for anything else.

    Raises:
        ValueError: If what follows "random:" is no whole number.
    """
    if weights is None or not weights.startswith("random"):
        return None
    match = re.fullmatch(r"random:(\d+)", weights)
    if match is None:
        raise ValueError(f"Random weights are asked for as `random:SEED`, such as random:0, got {weights!r}.")
    return int(match[1])


def in_folder(folder: Path | None, name: str) -> Path | None:
    """A file of that name, or of that stem in safetensors, if it is there."""
    if folder is None:
        return None
    candidates = (folder / name, (folder / name).with_suffix(".safetensors"))
    return next(filter(Path.is_file, candidates), None)


def checked_hash(path: Path, published: str) -> str:
    """The SHA-256 of a file; that of a `.pth` must begin like the published one.

    Raises:
        ValueError: If it does not.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if path.suffix == ".pth" and not digest.startswith(published):
        raise ValueError(
            f"{path} is damaged or not the published file: its SHA-256 begins with {digest[:8]} instead of "
            f"{published[:8]}; fetch it again, or give weights of your own as .safetensors."
        )
    return digest


def shown(hashes: Mapping[str, str]) -> str:
    """Names of files with the first digits of their SHA-256, as results carry them."""
    return ", ".join(f"{name} (sha256 {digest[:SHOWN_DIGITS]})" for name, digest in hashes.items())


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file whose hash is right.

    Raises:
        ValueError: If a `.safetensors` file is damaged.
    """
    if path.suffix == ".pth":
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}.") from None


def layers_of(state: Mapping[str, Tensor], backbone: Backbone, path: Path) -> dict[str, Tensor]:
    """The state of a network's layers, float32, from one whose names are "0.weight"...

    Raises:
        ValueError: If names, shapes or numbers are not those of such a network.
    """
    found = {name: value.float() for name, value in state.items()}
    _check_names_and_shapes(found, _layer_shapes(backbone), path)
    _check_finite(found, path)
    return found


def linear_of(state: Mapping[str, Tensor], backbone: Backbone, path: Path) -> tuple[Float[Tensor, " _"], ...]:
    """The weights of every tap, from a state whose names are "lin0.model.1.weight"...

    Raises:
        ValueError: If names or shapes are others, or a weight is below 0 or not finite.
    """
    expected = {
        f"lin{index}.model.1.weight": torch.Size((1, channels, 1, 1))
        for index, channels in enumerate(backbone.channels)
    }
    _check_names_and_shapes(state, expected, path)
    linear = tuple(state[name].flatten().float() for name in expected)
    _check_finite({name: state[name] for name in expected}, path)
    if any((weights < 0).any() for weights in linear):
        raise ValueError(f"{path} holds linear weights below 0, for which LPIPS is no distance.")
    return linear


def random_weights(backbone: Backbone, seed: int, chance: Generator) -> Weights:
    """Layers of unit gain (He et al., 2015) without bias, and linear weights uniform on [0, 1)."""
    features = {
        name: torch.randn(shape, generator=chance) * (2 / shape[1:].numel()) ** 0.5
        if name.endswith("weight")
        else torch.zeros(shape)
        for name, shape in _layer_shapes(backbone).items()
    }
    linear = tuple(torch.rand(channels, generator=chance) for channels in backbone.channels)
    return Weights(features, linear, f"random:{seed}", f"random weights, seed {seed}")


def _layer_shapes(backbone: Backbone) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {name: value.shape for name, value in backbone.build().state_dict().items()}


def _check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    for name, value in state.items():
        if not value.isfinite().all():
            raise ValueError(f"{path} holds weights that are not finite, in `{name}`; give others.")


def _check_names_and_shapes(
    found: Mapping[str, Tensor], expected: Mapping[str, torch.Size], path: Path
) -> None:
    wrong = [name for name in expected if name not in found or found[name].shape != expected[name]]
    wrong += [name for name in found if name not in expected]
    if wrong:
        name = wrong[0]
        has = f"shape {tuple(found[name].shape)}" if name in found else "nothing"
        wants = f"shape {tuple(expected[name])}" if name in expected else "nothing"
        raise ValueError(f"{path} holds another network: `{name}` has {has} there, expected {wants}.")
