"""Weights of a network: one safetensors file of a folder, or the shards that an index names.

The file without a variant is taken where there is one (``diffusion_pytorch_model.safetensors``), else the
only one there is, whatever it is called. All floating-point types are read as float32.
"""

__all__ = ["WEIGHTS_FILE", "find_weights", "read_tensors", "weight_shapes"]

import re
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from spurion.core.files import read_json, visible
from spurion.core.tensors import check_tensors

WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
_PLAIN = (WEIGHTS_FILE, f"{WEIGHTS_FILE}.index.json", "model.safetensors", "model.safetensors.index.json")
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.safetensors$")


def find_weights(folder: Path) -> list[Path]:
    """The files that hold the weights of a network.

    Raises:
        ValueError: If there is none, several variants lie there, or the index of shards is damaged.
    """
    plain = [folder / name for name in _PLAIN if (folder / name).is_file()]
    patterns = ("*.safetensors", "*.safetensors.index*.json")
    files = sorted(visible(path for pattern in patterns for path in folder.glob(pattern)))
    chosen = plain or [path for path in files if not _SHARD.search(path.name)]
    if not chosen:
        raise ValueError(f"{folder} has no {WEIGHTS_FILE}; weights are read from safetensors files only.")
    if not plain and len(chosen) > 1:
        names = ", ".join(path.name for path in chosen)
        raise ValueError(f"{folder} has several weights ({names:.200}); name the right ones {WEIGHTS_FILE}.")
    return _shards(chosen[0]) if chosen[0].suffix == ".json" else chosen[:1]


def _shards(index: Path) -> list[Path]:
    values = read_json(index)
    weights = values.get("weight_map") if isinstance(values, dict) else None
    names = set(weights.values()) if isinstance(weights, dict) and _are_texts(weights.values()) else set()
    if not names or any(Path(name).name != name for name in names):
        raise ValueError(f"{index} is damaged: it names no files of this folder that hold the weights.")
    return [index.parent / name for name in sorted(names)]


def _are_texts(values: object) -> bool:
    return all(isinstance(value, str) for value in values)  # type: ignore[attr-defined]


def weight_shapes(files: list[Path]) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor, from the headers of the files alone.

    Raises:
        ValueError: If a file is missing or damaged.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for path in files:
        try:
            check_tensors(path)
            with safe_open(path, framework="pt") as file:
                names = list(file.keys())
                shapes |= {name: tuple(file.get_slice(name).get_shape()) for name in names}
        except (OSError, SafetensorError) as error:
            raise _damaged(path, error) from None
    return shapes


def read_tensors(
    files: list[Path],
    *,
    keep_float64: bool = False,
    dtype: torch.dtype = torch.float32,
    left_out: Callable[[str], bool] = lambda _: False,
) -> dict[str, Float[Tensor, "..."]]:
    """Every tensor in one floating-point type.

    Arguments:
        files: The files.
        keep_float64: Whether float64 stays what it is.
        dtype: The type.
        left_out: Tensors, by their name, that are not read.

    Raises:
        ValueError: If a file is missing or damaged, or a tensor is not of a floating-point type or holds NaN
            or infinity.
    """
    tensors = {}
    for path in files:
        try:
            check_tensors(path)
            with safe_open(path, framework="pt") as file:
                for name in list(file.keys()):
                    if not left_out(name):
                        tensor = _checked(file.get_tensor(name), f"{path}: `{name}`", keep_float64)
                        tensors[name] = tensor if dtype == torch.float32 else tensor.to(dtype)
        except (AttributeError, OSError, RuntimeError, SafetensorError) as error:
            raise _damaged(path, error) from None
    return tensors


def _checked(tensor: Tensor, where: str, keep_float64: bool) -> Tensor:
    if not tensor.is_floating_point():
        raise ValueError(f"{where} must be of a floating-point type, got {tensor.dtype}.")
    if not (keep_float64 and tensor.dtype == torch.float64):
        tensor = tensor.float()
    if not tensor.isfinite().all():
        wrong = tensor.numel() - int(tensor.isfinite().sum())
        raise ValueError(
            f"{where} holds {wrong} numbers of {tensor.numel()} that are NaN or infinite: the model is "
            "damaged, or was saved after its training failed."
        )
    return tensor


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(f"{path} is damaged: it cannot be read ({reason:.200}).")
