"""Room for many images: in memory while they are few, in a temporary file where they are many.

The file is mapped, so its numbers are read and written like any others, and the system may take their pages
out of memory whenever it needs the space. It has no name: nothing is left behind, however the process ends.
"""

__all__ = ["MOST_IN_MEMORY", "physical_memory", "room", "taken"]

import errno
import math
import os
import shutil
import tempfile
from typing import IO

import numpy as np
import torch
from jaxtyping import Int64, Shaped, UInt8
from torch import Tensor

MOST_IN_MEMORY = 2**30
"""Arrays of more bytes (1 GiB) go to a file."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def room(shape: tuple[int, ...], dtype: torch.dtype, name: str) -> Shaped[Tensor, "..."]:
    """Make space for numbers, which are anything until they are set.

    Arguments:
        shape: How many numbers, with n images as (n, ...).
        dtype: Their type.
        name: What the images are called in an error.

    Returns:
        A tensor of that shape on the CPU. Above `MOST_IN_MEMORY` bytes it is a view of a mapped file in the
        folder for temporary files (which ``TMPDIR`` sets), if the system can map one.

    Raises:
        ValueError: If the disk has no room for the file, or there is no file and the machine has less memory.

    Example:
        >>> room((2, 3), torch.float32, "some").zero_().tolist()
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    size = math.prod(shape) * dtype.itemsize
    mapped = _mapped(size, f"{name} ({shape[0]} images)") if size > MOST_IN_MEMORY else None
    if mapped is not None:
        return mapped.view(dtype).reshape(shape)
    memory = physical_memory()
    if size > memory:
        raise ValueError(
            f"{name} ({shape[0]} images) needs {_gib(size)} of memory, and this machine has {_gib(memory)}; "
            "take fewer or smaller images."
        )
    return torch.empty(shape, dtype=dtype)


def taken(images: Shaped[Tensor, "n *shape"], indices: Int64[Tensor, " k"]) -> Shaped[Tensor, "k *shape"]:
    """The images at some indices, as ``images[indices]``; in a file where they are many.

    Example:
        >>> taken(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([2, 0])).tolist()
        [[3.0], [1.0]]
    """
    if len(indices) * images[:1].nbytes <= MOST_IN_MEMORY or images.device.type != "cpu":
        return images[indices]
    out = room((len(indices), *images.shape[1:]), images.dtype, "a part of a set")
    return torch.index_select(images, 0, indices, out=out)


def physical_memory() -> int:
    """The memory of this machine in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # a system that does not tell
        return 2**40


def _mapped(size: int, name: str) -> UInt8[Tensor, " size"] | None:
    """Bytes of a nameless file, or None where files cannot be made or mapped."""
    try:
        folder = tempfile.gettempdir()
        if size > shutil.disk_usage(folder).free:
            raise OSError(errno.ENOSPC, "no room")
        with tempfile.TemporaryFile(prefix="spurion-", dir=folder) as file:
            _reserve(file, size)
            return torch.from_numpy(np.asarray(np.memmap(file, np.uint8, "r+", shape=(size,))))
    except OSError as error:
        if error.errno not in _NO_ROOM:
            return None
    raise ValueError(
        f"{name} needs a temporary file of {_gib(size)}, and {folder} has no room for it; take fewer or "
        "smaller images, or set TMPDIR to a folder with more room."
    )


def _reserve(file: IO[bytes], size: int) -> None:
    """Give a file its size and its place on the disk, so that no later write can fail."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
