r"""Random generators without global state.

Every random number in Spurion comes from a `torch.Generator` made here from a study's seed and a
path of words and numbers, such as ``generator(0, "sample", 17)``. The seed of a generator is the
first 8 bytes of the SHA-256 of its path, so that streams of different purposes never meet, and the
noise of sample 17 is the same in any batch, on any number of processes.
"""

__all__ = ["derive_seed", "generator"]

import hashlib
import json

import torch


def derive_seed(seed: int, *path: str | int) -> int:
    """Derive the seed of one stream.

    Arguments:
        seed: The seed of the whole run.
        path: Words and numbers that name the stream.

    Returns:
        An integer in [0, 2^63).

    Example:
        >>> derive_seed(0, "sample", 17) == derive_seed(0, "sample", 17)
        True
        >>> derive_seed(0, "sample", 17) == derive_seed(0, "sample", 18)
        False
    """
    digest = hashlib.sha256(json.dumps([int(seed), *path]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *path: str | int) -> torch.Generator:
    """Make the CPU generator of one stream; see `derive_seed`."""
    return torch.Generator().manual_seed(derive_seed(seed, *path))
