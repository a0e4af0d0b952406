"""Where the weights of LPIPS come from: published files, a user's own, or random numbers.

Two files are needed: torchvision's weights of the network, and the linear weights of LPIPS 0.1. Each is
looked for in the folder the user named, or that of the file; else the network where torchvision keeps what it
downloaded, and the linear weights among the data files of the packages `lpips` or `torchmetrics`, which are
not imported.

A ``.pth`` file must be the published one: its SHA-256 is checked, and it is read without running code from
it. A ``.safetensors`` file may hold any weights of the right names and shapes; results say so.
"""

__all__ = ["Weights", "find_weights", "load_weights", "random_seed"]

import hashlib
import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from spurion.core.random import generator
from spurion.neighbors.lpips.backbones import BACKBONES, Backbone

PUBLISHER = "https://download.pytorch.org/models/"

LINEAR_FOLDERS = {"lpips": "weights/v0.1", "torchmetrics": "functional/image/lpips_models"}
"""Packages that carry the linear weights, and where."""

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


def load_weights(network: str, weights: str | None, allow_download: bool = False) -> Weights:
    """Read the weights of a network, or make random ones.

    Arguments:
        network: A name in `BACKBONES`.
        weights: A folder with the files, or the network's file; "random:SEED"; None to look in the usual
            places, which are looked in as well for what is not in the folder.
        allow_download: Whether the network's published file may be downloaded.

    Raises:
        ValueError: If a file is missing, damaged, not the published one, or of another network.
    """
    backbone = BACKBONES[network]
    seed = random_seed(weights)
    if seed is not None:
        return _random_weights(network, seed)
    features_file, linear_file = find_weights(network, weights, allow_download)
    prefix = backbone.file.rpartition("-")[2].removesuffix(".pth")
    hashes = {
        features_file.name: _checked_hash(features_file, prefix),
        linear_file.name: _checked_hash(linear_file, backbone.linear_sha256),
    }
    published = all(file.suffix == ".pth" for file in (features_file, linear_file))
    return Weights(
        _features(_read(features_file), backbone, features_file),
        _linear(_read(linear_file), backbone, linear_file),
        ", ".join(f"{name} (sha256 {digest[:SHOWN_DIGITS]})" for name, digest in hashes.items()),
        "" if published else "weights of the user",
    )


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


def find_weights(network: str, weights: str | None, allow_download: bool = False) -> tuple[Path, Path]:
    """The file of a network and that of its linear weights; see `load_weights`.

    Raises:
        ValueError: If one of them is missing.
    """
    backbone = BACKBONES[network]
    given = None if weights is None else Path(weights)
    if given is not None and not given.exists():
        raise ValueError(
            f"There is no file or folder {given}; give `--weights` a folder with {backbone.file}, or "
            "random:SEED."
        )
    file = None if given is None or given.is_dir() else given
    if file is not None and file.suffix not in (".pth", ".safetensors"):
        raise ValueError(f"{file} must be a .pth or .safetensors file of weights, or a folder with one.")
    folder = given if file is None else file.parent
    features = file or _in_folder(folder, backbone.file) or _downloaded(backbone, allow_download)
    packaged = filter(Path.is_file, _packaged(backbone.linear_file))
    linear = _in_folder(folder, backbone.linear_file) or next(packaged, None)
    if features is None:
        raise ValueError(
            f"LPIPS needs the weights {backbone.file} of torchvision"
            f"{'' if given is None else f', which are not in {given}'}: name the file or its folder by "
            f"`--weights` (in a study by `--set weights=`), or allow the download by `--allow-download`."
        )
    if linear is None:
        raise ValueError(
            f"LPIPS needs its linear weights {backbone.linear_file}: install torchmetrics or lpips, which "
            "carry them, or put the file beside the network's and name the folder by `--weights` (in a "
            "study by `--set weights=`)."
        )
    return features, linear


def _in_folder(folder: Path | None, name: str) -> Path | None:
    """A file of that name, or of that stem in safetensors, if it is there."""
    if folder is None:
        return None
    candidates = (folder / name, (folder / name).with_suffix(".safetensors"))
    return next(filter(Path.is_file, candidates), None)


def _packaged(name: str) -> Iterable[Path]:
    for package, inside in LINEAR_FOLDERS.items():
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or []:
            yield Path(folder, inside, name)


def _downloaded(backbone: Backbone, allow_download: bool) -> Path | None:
    """The published file where torch keeps downloads, fetched if that is allowed."""
    path = Path(torch.hub.get_dir(), "checkpoints", backbone.file)
    if not path.is_file() and allow_download:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(PUBLISHER + backbone.file, str(path), progress=False)
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"{backbone.file} could not be downloaded ({error}); fetch it yourself and name it by "
                "`--weights`."
            ) from None
    return path if path.is_file() else None


def _checked_hash(path: Path, published: str) -> str:
    """The SHA-256 of a file; a `.pth` must be the published one."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if path.suffix == ".pth" and not digest.startswith(published):
        raise ValueError(
            f"{path} is damaged or not the published file: its SHA-256 begins with {digest[:8]} instead of "
            f"{published[:8]}; fetch it again, or give weights of your own as .safetensors."
        )
    return digest


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".pth":  # its hash is right
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}.") from None


def _features(state: dict[str, Tensor], backbone: Backbone, path: Path) -> dict[str, Tensor]:
    """The layers' part of a state of torchvision's; the classifier is of no use here."""
    found = {
        name.removeprefix("features."): value.float()
        for name, value in state.items()
        if not name.startswith("classifier.")
    }
    with torch.device("meta"):
        expected = {name: value.shape for name, value in backbone.build().state_dict().items()}
    _same_names_and_shapes(found, expected, path)
    _check_finite(found, path)
    return found


def _check_finite(state: dict[str, Tensor], path: Path) -> None:
    for name, value in state.items():
        if not value.isfinite().all():
            raise ValueError(f"{path} holds weights that are not finite, in `{name}`; give others.")


def _linear(state: dict[str, Tensor], backbone: Backbone, path: Path) -> tuple[Float[Tensor, " _"], ...]:
    expected = {
        f"lin{index}.model.1.weight": torch.Size((1, channels, 1, 1))
        for index, channels in enumerate(backbone.channels)
    }
    _same_names_and_shapes(state, expected, path)
    linear = tuple(state[name].flatten().float() for name in expected)
    _check_finite({name: state[name] for name in expected}, path)
    if any((weights < 0).any() for weights in linear):
        raise ValueError(f"{path} holds linear weights below 0, for which LPIPS is no distance.")
    return linear


def _same_names_and_shapes(found: dict[str, Tensor], expected: dict[str, torch.Size], path: Path) -> None:
    wrong = [name for name in expected if name not in found or found[name].shape != expected[name]]
    wrong += [name for name in found if name not in expected]
    if wrong:
        name = wrong[0]
        has = f"shape {tuple(found[name].shape)}" if name in found else "nothing"
        wants = f"shape {tuple(expected[name])}" if name in expected else "nothing"
        raise ValueError(f"{path} holds another network: `{name}` has {has} there, expected {wants}.")


def _random_weights(network: str, seed: int) -> Weights:
    """Layers of unit gain (He et al., 2015) without bias, and linear weights uniform on [0, 1)."""
    backbone = BACKBONES[network]
    chance = generator(seed, "lpips", network)
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in backbone.build().state_dict().items()}
    features = {
        name: torch.randn(shape, generator=chance) * (2 / shape[1:].numel()) ** 0.5
        if name.endswith("weight")
        else torch.zeros(shape)
        for name, shape in shapes.items()
    }
    linear = tuple(torch.rand(channels, generator=chance) for channels in backbone.channels)
    return Weights(features, linear, f"random:{seed}", f"random weights, seed {seed}")
