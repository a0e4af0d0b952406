"""Model folders: every denoiser to disk and back, without pickles.

A network is saved as diffusers saves a pipeline, so that ``DDPMPipeline.from_pretrained`` opens a U-Net
with a `DDPMSchedule`::

    model_index.json
    unet/config.json
    unet/diffusion_pytorch_model.safetensors
    scheduler/scheduler_config.json

Also opened is a pipeline whose parts lie beside its index, and the folder of a network alone (what ``unet/``
holds) with a ``scheduler_config.json`` in it or in a folder ``scheduler`` of its own. What the folder is, is
read from its index (`spurion.diffusion.model_index`); schedule and prediction from the scheduler's
configuration (`spurion.diffusion.scheduler_file`); the network in float32 (`spurion.diffusion.network_file`).
The closed forms are saved as ``denoiser.json``, ``denoiser.safetensors`` and the same ``scheduler`` folder.
Weights are read from safetensors only: nothing in a folder is ever executed.
"""

__all__ = ["folder_hash", "load_denoiser", "save_denoiser"]

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from spurion.core.arguments import PATH, check_arguments
from spurion.core.config import Config, build_config
from spurion.core.files import file_mode, read_json, visible, write_json
from spurion.core.tensors import save_tensors
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser, Spectrum
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.model_index import INDEX_FILE, NETWORK_FILE, find_parts
from spurion.diffusion.network_file import load_network
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.scheduler_file import Process, load_process, save_schedule
from spurion.diffusion.state import denoiser_state, network_config
from spurion.diffusion.weights_file import WEIGHTS_FILE, read_tensors


class _ClosedForm(Config):
    """What ``denoiser.json`` says."""

    kind: Literal["exact", "gaussian"]


def save_denoiser(denoiser: Denoiser, folder: Path | str) -> None:
    """Save a denoiser. The folder appears whole or not at all, in place of one of the same name.

    Arguments:
        denoiser: An exact, Gaussian or network denoiser with a `DDPMSchedule` or a `VESchedule`.
        folder: Where to.

    Raises:
        ValueError: If the denoiser or its schedule is of another kind.
        OSError: If the folder cannot be written or the disk is full; an old one is then untouched.
    """
    state = denoiser_state(denoiser)
    with _replacing(Path(folder)) as new:
        if isinstance(denoiser, NetworkDenoiser):
            _save_network(denoiser, state, new)
        else:
            kind = "exact" if isinstance(denoiser, ExactDenoiser) else "gaussian"
            write_json(new / "denoiser.json", {"kind": kind})
            save_tensors(new / "denoiser.safetensors", state, {})
        prediction = denoiser.prediction if isinstance(denoiser, NetworkDenoiser) else "sample"
        save_schedule(denoiser.schedule, prediction, new / "scheduler", denoiser.clip_range)


def load_denoiser(folder: Path | str, *, device: torch.device | str = "cpu") -> Denoiser:
    """Load a denoiser from a folder that `save_denoiser` or diffusers wrote.

    Arguments:
        folder: The model folder.
        device: Where the denoiser shall compute.

    Raises:
        ValueError: If there is no such folder, it is damaged, its weights are not finite, or it holds a model
            of a kind that is not supported.
    """
    check_arguments(locals(), {"folder": PATH})
    folder, device = Path(folder), torch.device(device)
    if (folder / "denoiser.json").is_file():
        process = load_process(folder / "scheduler")
        denoiser = _load_closed_form(folder, process, device)
    else:
        parts = find_parts(folder)
        process = load_process(parts.scheduler, parts.scheduler_class)
        network, shape = load_network(parts.network, process.schedule, parts.network_class)
        denoiser = NetworkDenoiser(network.to(device), process.schedule, shape, process.prediction)
    denoiser.clip_range, denoiser.name = process.clip_range, str(folder)
    denoiser.folder_hash = folder_hash(folder)
    return denoiser


def folder_hash(folder: Path | str) -> str:
    """Hash of the weights and configurations of a model folder, wherever it lies and whatever it is called.

    SHA-256 over the ``.safetensors`` and ``.json`` files of the folder, of its ``unet`` and of its
    ``scheduler``, in the order of their paths inside it: for each the path, a zero byte and the SHA-256 of
    its content.
    """
    folder, digest = Path(folder), hashlib.sha256()
    kinds = [f"{part}*.{kind}" for part in ("", "unet/", "scheduler/") for kind in ("json", "safetensors")]
    files = visible(path for kind in kinds for path in folder.glob(kind))
    for inside, path in sorted((path.relative_to(folder).as_posix(), path) for path in files):
        with path.open("rb") as file:
            digest.update(inside.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _save_network(denoiser: NetworkDenoiser, state: dict[str, Tensor], folder: Path) -> None:
    import diffusers

    network: Any = denoiser.network
    kind, schedule = type(network), type(denoiser.schedule)
    library = "diffusers" if kind.__module__.startswith("diffusers.") else kind.__module__
    discrete = schedule is DDPMSchedule
    index = {
        "_class_name": "DDPMPipeline" if discrete else "NetworkDenoiser",
        "_diffusers_version": diffusers.__version__,
        "scheduler": ["diffusers", "DDPMScheduler"] if discrete else [schedule.__module__, schedule.__name__],
        "unet": [library, kind.__name__],
    }
    write_json(folder / INDEX_FILE, index)
    write_json(folder / "unet" / NETWORK_FILE, network_config(network))
    save_tensors(folder / "unet" / WEIGHTS_FILE, state, {"format": "pt"})


def _load_closed_form(folder: Path, process: Process, device: torch.device) -> Denoiser:
    kind = build_config(_ClosedForm, read_json(folder / "denoiser.json"), str(folder / "denoiser.json")).kind
    numbers = folder / "denoiser.safetensors"
    state = {name: value.to(device) for name, value in read_tensors([numbers], keep_float64=True).items()}
    try:
        if kind == "exact":
            return ExactDenoiser(state["patterns"], process.schedule)
        spectrum = Spectrum(state["variances"], state.get("directions"))
        mean = state["mean"]
        return GaussianDenoiser(mean.flatten(), spectrum, process.schedule, tuple(mean.shape))
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"{numbers} is damaged ({error}).") from None


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside `folder` that takes its place on success and vanishes on failure."""
    new, old = (folder.parent / f".{folder.name}.{word}" for word in ("new", "old"))
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
        for path in new.rglob("*"):
            if path.is_file():
                path.chmod(file_mode())
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
