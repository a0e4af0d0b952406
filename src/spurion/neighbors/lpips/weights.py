"""Where the weights of LPIPS come from: published files, a user's own, or random numbers.

Two files are needed: torchvision's weights of the network, and the linear weights of LPIPS 0.1. Each is
looked for in the folder the user named, or that of the file; else the network where torchvision keeps what it
downloaded, and the linear weights among the data files of the packages `lpips` or `torchmetrics`, which are
not imported. How files are checked and read: `spurion.neighbors.lpips.reading`.
"""

__all__ = ["find_weights", "load_weights"]

import importlib.util
from collections.abc import Iterable
from pathlib import Path

import torch

from spurion.core.random import generator
from spurion.neighbors.lpips.backbones import BACKBONES, TorchvisionBackbone
from spurion.neighbors.lpips.reading import (
    Weights,
    checked_hash,
    in_folder,
    layers_of,
    linear_of,
    random_seed,
    random_weights,
    read_state,
    shown,
)

PUBLISHER = "https://download.pytorch.org/models/"

LINEAR_FOLDERS = {"lpips": "weights/v0.1", "torchmetrics": "functional/image/lpips_models"}
"""Packages that carry the linear weights, and where."""


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
        return random_weights(backbone, seed, generator(seed, "lpips", network))
    features_file, linear_file = find_weights(network, weights, allow_download)
    prefix = backbone.file.rpartition("-")[2].removesuffix(".pth")
    hashes = {
        features_file.name: checked_hash(features_file, prefix),
        linear_file.name: checked_hash(linear_file, backbone.linear_sha256),
    }
    layers = {
        name.removeprefix("features."): value
        for name, value in read_state(features_file).items()
        if not name.startswith("classifier.")  # of no use here
    }
    published = all(file.suffix == ".pth" for file in (features_file, linear_file))
    return Weights(
        layers_of(layers, backbone, features_file),
        linear_of(read_state(linear_file), backbone, linear_file),
        shown(hashes),
        "" if published else "weights of the user",
    )


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
    features = file or in_folder(folder, backbone.file) or _downloaded(backbone, allow_download)
    packaged = filter(Path.is_file, _packaged(backbone.linear_file))
    linear = in_folder(folder, backbone.linear_file) or next(packaged, None)
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


def _packaged(name: str) -> Iterable[Path]:
    for package, inside in LINEAR_FOLDERS.items():
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or []:
            yield Path(folder, inside, name)


def _downloaded(backbone: TorchvisionBackbone, allow_download: bool) -> Path | None:
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
