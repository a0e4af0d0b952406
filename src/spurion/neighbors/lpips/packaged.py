"""The published weights of shift-tolerant LPIPS, from the data files of the package stlpips-pytorch.

The package (BSD 2-clause license) is not imported, so it needs none of what it imports itself. How files are
checked and read: `spurion.neighbors.lpips.reading`.
"""

__all__ = ["find_packaged", "load_packaged"]

import importlib.util
import re
from pathlib import Path

import torch

from spurion.core.random import generator
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
from spurion.neighbors.lpips.shift_tolerant import BINOMIAL, SHIFT_TOLERANT

PACKAGE, FOLDER = "stlpips_pytorch", "weights/vST0.0"


def load_packaged(network: str, weights: str | None = None) -> Weights:
    """Read the weights of a network, or make random ones.

    Arguments:
        network: A name in `SHIFT_TOLERANT`.
        weights: The file, or a folder with it; "random:SEED"; None for that of the package.

    Raises:
        ValueError: If the file is missing, damaged, not the published one, or of another network.
    """
    backbone = SHIFT_TOLERANT[network]
    seed = random_seed(weights)
    if seed is not None:
        return random_weights(backbone, seed, generator(seed, "st-lpips", network))
    path = find_packaged(network, weights)
    digest = checked_hash(path, backbone.sha256)
    layers, linear = {}, {}
    for name, value in read_state(path).items():
        if name.startswith("lin"):
            linear[name] = value
        elif name.endswith(".filt"):
            if not torch.equal(value.cpu(), BINOMIAL.to(value.dtype).expand_as(value)):
                raise ValueError(f"{path} holds another network: `{name}` is not the filter (1, 2, 1) / 4.")
        elif not name.startswith("scaling_layer."):  # the mean and deviation of ImageNet
            layers[re.sub(r"^net\.slice\d\.", "", name)] = value
    return Weights(
        layers_of(layers, backbone, path),
        linear_of(linear, backbone, path),
        shown({path.name: digest}),
        "" if path.suffix == ".pth" else "weights of the user",
    )


def find_packaged(network: str, weights: str | None = None) -> Path:
    """The file of a network and its linear weights; see `load_packaged`.

    Raises:
        ValueError: If it is missing.
    """
    name = SHIFT_TOLERANT[network].file
    if weights is not None:
        given = Path(weights)
        found = in_folder(given, name) if given.is_dir() else given
        if found is None or not found.is_file():
            raise ValueError(
                f"There is no file {found or given / name}; give `--weights` a folder with {name}, or "
                "random:SEED."
            )
        if found.suffix not in (".pth", ".safetensors"):
            raise ValueError(f"{found} must be a .pth or .safetensors file of weights, or a folder with one.")
        return found
    spec = importlib.util.find_spec(PACKAGE)
    folders = (spec and spec.submodule_search_locations) or []
    paths = [path for folder in folders if (path := Path(folder, FOLDER, name)).is_file()]
    if not paths:
        raise ValueError(
            f"Shift-tolerant LPIPS needs the weights {name} of the package stlpips-pytorch: pip install "
            "'spurion[st-lpips]', or name the file or its folder by `--weights` (in a study by `--set "
            "weights=`)."
        )
    return paths[0]
