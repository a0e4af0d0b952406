"""Sample sets on disk that survive being killed.

Samples are drawn in batches, and each finished batch is a file (a shard) beside the final one::

    samples.shards/000000.safetensors  ...     while it is running
    samples.npz                                when it is done: `samples`, float32, with shape (n, *shape)

Started again, the set continues with the first missing shard and ends with the same bytes. Every file names
the request it belongs to (the hash of the model's configuration, schedule and weights, that of all files of
its folder if it was loaded from one, the sampler, the seed and the count), so that samples of one model are
never taken for those of another, and any change of a configuration is noticed, whether it is read or not.
"""

__all__ = ["check_set", "drawn_to_file", "lend_batches", "sample_to_file", "sample_to_folder", "set_request"]

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.files import atomic_write
from spurion.core.progress import Progress, shifted, silent
from spurion.core.store import KeyedFile
from spurion.core.tensors import Damaged, holding, load_arrays, save_arrays, tell
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.samplers import SamplerConfig, sample
from spurion.diffusion.state import denoiser_hash

_FORMAT = 3
"""Of the requests; the first hashed numbers alone, and the second only the settings that are read."""


def sample_to_folder(
    denoiser: Denoiser,
    count: int,
    config: SamplerConfig,
    *,
    seed: int,
    folder: Path | str,
    progress: Progress = silent,
) -> Float[Tensor, "count *shape"]:
    """Draw a sample set into ``samples.npz`` of a folder; otherwise as `sample_to_file`."""
    path = Path(folder) / "samples.npz"
    return sample_to_file(denoiser, count, config, seed=seed, path=path, progress=progress)


def sample_to_file(
    denoiser: Denoiser,
    count: int,
    config: SamplerConfig,
    *,
    seed: int,
    path: Path | str,
    progress: Progress = silent,
) -> Float[Tensor, "count *shape"]:
    """Draw a sample set into a file, or continue it, or read it if it is there.

    Arguments:
        denoiser: The model; one that can be saved, so that its weights can be told from others'.
        count: How many samples, at least 1.
        config: The sampler. One batch is one shard: a killed run loses at most one batch.
        seed: The seed of the whole set.
        path: The ``.npz`` file; its folder is made if needed. Shards lie beside it.
        progress: Called as by `sample`, over all batches.

    Returns:
        The samples of `sample`, in float32.

    Raises:
        ValueError: If `path` is no ``.npz``, the file or a shard is of another request or of a former
            version, the file is damaged, or as `sample`.
        OSError: If the file cannot be written or the disk is full; finished shards stay.
    """
    check_set(count, path)
    config = config.within(denoiser.schedule)
    batches = len(range(0, count, config.batch_size))

    def draw(members: range) -> Tensor:
        done = members.start // config.batch_size
        tick = shifted(progress, done * config.steps, batches * config.steps)
        return sample(denoiser, len(members), config, seed=seed, first=members.start, progress=tick)

    request = set_request(denoiser, count, config.model_dump(), seed)
    return drawn_to_file(path, request, draw, count, config.batch_size)


def drawn_to_file(
    path: Path | str,
    request: Mapping[str, Any],
    draw: Callable[[range], Float[Tensor, "m *shape"]],
    count: int,
    batch_size: int,
    *,
    array: str = "samples",
) -> Float[Tensor, "count *shape"]:
    """Draw any set into a file, batch by batch, or continue it, or read it if it is there.

    Arguments:
        path: The ``.npz`` file; its folder is made if needed. Shards lie beside it.
        request: Everything that decides the set; see `set_request`.
        draw: Draws the members of a batch, of any floating-point type.
        count: How many, at least 1.
        batch_size: The size of a batch.
        array: What they are called in the file.

    Returns:
        The members, in float32.

    Raises:
        ValueError: As `sample_to_file`.
        OSError: If the file cannot be written or the disk is full; finished shards stay.
    """
    check_set(count, path)
    final, shards = Path(path), Path(path).with_suffix(".shards")
    if not final.exists():
        parts = []
        for index, first in enumerate(range(0, count, batch_size)):
            shard = _file(shards / f"{index:06d}.safetensors")
            batch = _read_shard(shard, request)
            if batch is None:
                batch = draw(range(first, min(first + batch_size, count))).float().cpu()
                shard.save({"samples": batch}, request)
            parts.append(batch)
        arrays = {array: torch.cat(parts).numpy(), "request": np.array(json.dumps(request))}
        save_arrays(final, arrays, compressed=False)
    samples = _read_set(final, request, array)
    shutil.rmtree(shards, ignore_errors=True)
    return samples


def lend_batches(path: Path, to: Path, count: int) -> None:
    """Let another set of the same model, sampler and seed begin with the samples of a finished one.

    Its whole batches are laid beside the other set as shards of it, so that these are not drawn again: sample
    i depends on the seed and i alone, and on the size of its batch to rounding. A set of the same size is
    copied. Where one of the two sets is not there, or the other one is, nothing is done.

    Arguments:
        path: The ``.npz`` file of the finished set.
        to: That of the other one.
        count: How many samples that shall have.

    Raises:
        OSError: If the folder cannot be written or the disk is full.
    """
    if to.exists() or not path.exists():
        return
    try:
        arrays = load_arrays(path, "request", "samples")
        with holding(path, "samples of ours"):
            request = dict(json.loads(str(arrays["request"])))
            batch_size = int(request["sampler"]["batch_size"])
    except Damaged:
        return
    samples, request = torch.from_numpy(arrays["samples"]), {**request, "count": count}
    if len(samples) == count:
        with atomic_write(to) as temporary:
            shutil.copyfile(path, temporary)
        return
    for index in range(min(len(samples), count) // batch_size):
        shard = _file(to.with_suffix(".shards") / f"{index:06d}.safetensors")
        if not shard.path.exists():
            batch = samples[index * batch_size : (index + 1) * batch_size]
            shard.save({"samples": batch.clone()}, request)


def check_set(count: int, path: Path | str) -> None:
    """Refuse an empty set, and a file that is no ``.npz``.

    Raises:
        ValueError: If it is one.
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1, got {count}.")
    if Path(path).suffix != ".npz":
        raise ValueError(f"`path` must end in .npz, got {path}.")


def set_request(denoiser: Denoiser, count: int, sampler: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Everything that decides the samples; the model by its hash and by that of its folder.

    Arguments:
        denoiser: The model.
        count: How many samples.
        sampler: What decides how they are drawn, as plain values.
        seed: The seed of the whole set.
    """
    return {
        "format": _FORMAT,
        "denoiser": denoiser_hash(denoiser),
        "folder": denoiser.folder_hash,
        "sampler": dict(sampler),
        "seed": seed,
        "count": count,
    }


def _file(path: Path) -> KeyedFile:
    another = "holds samples of another model, sampler, seed or count"
    return KeyedFile(path, "sampling", another, "delete it or choose another one")


def _read_shard(shard: KeyedFile, request: Mapping[str, Any]) -> Tensor | None:
    """The samples of a batch; None if it is not there, or damaged, which is told."""
    try:
        return shard.load(request, lambda tensors, _: tensors["samples"])
    except Damaged as error:
        tell(error, "its samples are drawn again")
        return None


def _read_set(path: Path, request: Mapping[str, Any], array: str) -> Tensor:
    try:
        arrays = load_arrays(path, "request", array)
        with holding(path, "samples of ours"):
            found = dict(json.loads(str(arrays["request"])))
    except Damaged as error:
        raise Damaged(f"{str(error).removesuffix('.')}; delete it and run again.") from None
    if "denoiser" in found and found.get("format") != _FORMAT:
        raise ValueError(
            f"{path} was written by a former version of Spurion, which did not note the whole configuration "
            "of the model; keep it elsewhere if it is needed, and draw the samples anew."
        )
    _file(path).check(found, request)
    return torch.from_numpy(arrays[array])
