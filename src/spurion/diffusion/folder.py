"""Model folders: every denoiser to disk and back, without pickles.

A network is saved as diffusers saves a pipeline, so that ``DDPMPipeline.from_pretrained`` opens a U-Net
with a `DDPMSchedule`::

    model_index.json
    unet/config.json
    unet/diffusion_pytorch_model.safetensors
    scheduler/scheduler_config.json

Also opened is the folder of a network alone (what ``unet/`` holds) with a ``scheduler_config.json`` in it
or in a folder ``scheduler`` of its own. Schedule and prediction are read from the scheduler's
configuration (see `spurion.diffusion.scheduler_file`), the weights in float32. The closed forms are saved
as ``denoiser.json``, ``denoiser.safetensors`` and the same ``scheduler`` folder. Weights are read from
safetensors only: nothing in a folder is ever executed.
"""

__all__ = ["denoiser_state", "folder_hash", "load_denoiser", "save_denoiser"]

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import diffusers
import torch
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.unets.unet_2d import UNet2DModel
from safetensors import SafetensorError
from torch import Tensor

from spurion.core.config import Config, build_config
from spurion.core.files import file_mode, read_json, write_json
from spurion.core.sealed import check_tensors, load_tensors, save_tensors
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.fourier_mlp import FourierMLP
from spurion.diffusion.denoisers.fourier_residual import FourierResidual
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser, Spectrum
from spurion.diffusion.denoisers.mlp import ResidualMLP
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.scheduler_file import SCHEDULER_FILE, load_schedule, save_schedule

_NETWORKS: dict[str, type[ModelMixin]] = {
    "UNet2DModel": UNet2DModel,
    "ResidualMLP": ResidualMLP,
    "FourierResidual": FourierResidual,
    "FourierMLP": FourierMLP,
}
_WEIGHTS = "diffusion_pytorch_model.safetensors"


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
        save_schedule(denoiser.schedule, prediction, new / "scheduler")


def load_denoiser(folder: Path | str, *, device: torch.device | str = "cpu") -> Denoiser:
    """Load a denoiser from a folder that `save_denoiser` or diffusers wrote.

    Arguments:
        folder: The model folder.
        device: Where the denoiser shall compute.

    Raises:
        ValueError: If there is no such folder, it is damaged, or holds a model of an unknown kind.
    """
    folder = Path(folder)
    if (folder / "denoiser.json").is_file():
        return _load_closed_form(folder, torch.device(device))
    if (folder / "model_index.json").is_file():
        network, scheduler = folder / "unet", folder / "scheduler"
    elif (folder / "config.json").is_file():
        network = folder
        scheduler = folder if (folder / SCHEDULER_FILE).is_file() else folder / "scheduler"
    else:
        raise ValueError(
            f"{folder} is no model folder: it has neither a model_index.json beside `unet` and `scheduler`, "
            f"nor the config.json of a network with a {SCHEDULER_FILE}."
        )
    schedule, prediction = load_schedule(scheduler)
    loaded, shape = _load_network(network)
    return NetworkDenoiser(loaded.to(device), schedule, shape, prediction)


def folder_hash(folder: Path | str) -> str:
    """Hash of the weights and configurations of a model folder, wherever it lies and whatever it is called.

    SHA-256 over the ``.safetensors`` and ``.json`` files of the folder, of its ``unet`` and of its
    ``scheduler``, in the order of their paths inside it: for each the path, a zero byte and the SHA-256 of
    its content.
    """
    folder, digest = Path(folder), hashlib.sha256()
    kinds = [f"{part}*.{kind}" for part in ("", "unet/", "scheduler/") for kind in ("json", "safetensors")]
    paths = {path.relative_to(folder).as_posix(): path for kind in kinds for path in folder.glob(kind)}
    for inside, path in sorted(paths.items()):
        with path.open("rb") as file:
            digest.update(inside.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def denoiser_state(denoiser: Denoiser) -> dict[str, Tensor]:
    """The numbers of a denoiser as they are saved: contiguous, on the CPU, by name.

    Raises:
        ValueError: If the denoiser is of a kind that cannot be saved.
    """
    if isinstance(denoiser, ExactDenoiser):
        state = {"patterns": denoiser.patterns}
    elif isinstance(denoiser, GaussianDenoiser):
        variances, directions = denoiser.spectrum
        state = {"mean": denoiser.mean.view(denoiser.shape), "variances": variances}
        if directions is not None:
            state["directions"] = directions
    elif isinstance(denoiser, NetworkDenoiser) and type(denoiser.network).__name__ in _NETWORKS:
        state = denoiser.network.state_dict()
    else:
        what = denoiser.network if isinstance(denoiser, NetworkDenoiser) else denoiser
        raise ValueError(
            f"`denoiser` must be an ExactDenoiser, a GaussianDenoiser or a NetworkDenoiser with one of "
            f"{', '.join(_NETWORKS)} to be saved, got {type(what).__name__}."
        )
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def _save_network(denoiser: NetworkDenoiser, state: dict[str, Tensor], folder: Path) -> None:
    network: Any = denoiser.network
    kind, schedule = type(network), type(denoiser.schedule)
    library = "diffusers" if kind is UNet2DModel else kind.__module__
    discrete = schedule is DDPMSchedule
    index = {
        "_class_name": "DDPMPipeline" if discrete else "NetworkDenoiser",
        "_diffusers_version": diffusers.__version__,
        "scheduler": ["diffusers", "DDPMScheduler"] if discrete else [schedule.__module__, schedule.__name__],
        "unet": [library, kind.__name__],
    }
    write_json(folder / "model_index.json", index)
    config = json.loads(network.to_json_string())
    config.pop("_name_or_path", None)  # where it was loaded from is nobody's business
    write_json(folder / "unet" / "config.json", config)
    save_tensors(folder / "unet" / _WEIGHTS, state, {"format": "pt"})


def _load_network(folder: Path) -> tuple[Any, tuple[int, ...]]:
    """The network of a folder in float32, and the shape of its items."""
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} is damaged: it has no config.json.")
    if not any(folder.glob("*.safetensors")):
        raise ValueError(f"{folder} has no {_WEIGHTS}; weights are read from safetensors files only.")
    name = dict(read_json(folder / "config.json")).get("_class_name")
    if name not in _NETWORKS:
        raise ValueError(f"{folder} holds a network of kind {name}; known are {', '.join(_NETWORKS)}.")
    try:
        for weights in folder.glob("*.safetensors"):
            check_tensors(weights)
        with torch.random.fork_rng(devices=[]):  # diffusers draws weights before it reads them
            network, report = cast(Any, _NETWORKS[name]).from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                low_cpu_mem_usage=False,
                output_loading_info=True,
                torch_dtype=torch.float32,
            )
    except (OSError, RuntimeError, TypeError, ValueError, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{folder} is damaged: its network cannot be read ({reason}).") from None
    wrong = [key for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for key in report[kind]]
    if wrong:
        raise ValueError(
            f"{folder} is damaged: {len(wrong)} weights do not fit its config.json, such as {wrong[0]}."
        )
    return network, _item_shape(network, folder)


def _item_shape(network: Any, folder: Path) -> tuple[int, ...]:
    if not isinstance(network, UNet2DModel):
        return tuple(network.config.shape)
    size, channels = network.config.sample_size, network.config.in_channels
    if size is None or network.config.out_channels != channels:
        raise ValueError(
            f"{folder} holds a U-Net with sample_size {size}, {channels} channels in and "
            f"{network.config.out_channels} out; it needs a size and as many channels out as in."
        )
    return (channels, size, size) if isinstance(size, int) else (channels, *size)


def _load_closed_form(folder: Path, device: torch.device) -> Denoiser:
    kind = build_config(_ClosedForm, read_json(folder / "denoiser.json"), str(folder / "denoiser.json")).kind
    schedule, _ = load_schedule(folder / "scheduler")
    try:
        tensors, _ = load_tensors(folder / "denoiser.safetensors")
        state = {name: value.to(device) for name, value in tensors.items()}
        if kind == "exact":
            return ExactDenoiser(state["patterns"], schedule)
        spectrum = Spectrum(state["variances"], state.get("directions"))
        return GaussianDenoiser(state["mean"].flatten(), spectrum, schedule, tuple(state["mean"].shape))
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ValueError(f"{folder / 'denoiser.safetensors'} is damaged ({error}).") from None


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
