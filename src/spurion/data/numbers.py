"""Tensors and arrays of any type as plain numbers, where what they mean is clear."""

__all__ = ["array_type", "as_array", "plain_tensor"]

import numpy as np
import torch
from torch import Tensor

_PLAIN_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def plain_tensor(values: Tensor, name: str) -> Tensor:
    """The same numbers without a graph, a layout or a scale of their own.

    Sparse tensors become dense, quantized ones floats, and floats of 8 bits floats of 32.

    Arguments:
        values: Any tensor.
        name: What to call it in an error.

    Raises:
        ValueError: If torch cannot convert it.

    Example:
        >>> plain_tensor(torch.eye(2).to_sparse(), "x").tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    try:
        plain = values.detach()
        if plain.is_quantized:
            plain = plain.dequantize()
        if plain.layout != torch.strided:
            plain = plain.to_dense()
        if plain.is_floating_point() and plain.dtype not in _PLAIN_FLOATS:
            plain = plain.float()
    except RuntimeError:  # as NotImplementedError is
        raise _unreadable(values, name) from None
    if plain.is_meta or plain.is_nested:
        raise _unreadable(values, name)
    return plain


def as_array(values: Tensor | np.ndarray, name: str) -> np.ndarray:
    """A tensor or an array as an array of numbers on the CPU.

    Arguments:
        values: A tensor of any kind, on any device, or an array.
        name: What to call it in an error.

    Raises:
        ValueError: If it cannot be converted, or values are masked.
    """
    if isinstance(values, Tensor):
        plain = plain_tensor(values, name).cpu().resolve_conj().resolve_neg()
        try:
            return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
        except TypeError:  # a type that numpy does not have
            raise _unreadable(values, name) from None
    if np.ma.is_masked(values):
        raise ValueError(f"{name} has masked values, which are no numbers; fill them first.")
    return np.asarray(values)


def array_type(values: Tensor | np.ndarray) -> np.dtype:
    """The type of what `as_array` makes of it, float32 for all floats of torch.

    Example:
        >>> array_type(torch.zeros(1, dtype=torch.bfloat16)), array_type(np.zeros(1, ">u2"))
        (dtype('float32'), dtype('>u2'))
    """
    if isinstance(values, np.ndarray):
        return values.dtype
    if values.is_quantized or values.is_floating_point():
        return np.dtype(np.float32)
    name = str(values.dtype).removeprefix("torch.")
    return np.dtype(name if name == "bool" or name.startswith(("int", "uint")) else np.void)


def _unreadable(values: Tensor, name: str) -> ValueError:
    kind = "nested tensor" if values.is_nested else f"tensor of {values.dtype} on {values.device}"
    return ValueError(
        f"{name} is a {kind}, which cannot be read as numbers; convert it to a dense tensor of float32."
    )
