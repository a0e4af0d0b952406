"""What a denoiser is made of: its numbers, its configuration, and one hash of both."""

__all__ = ["denoiser_hash", "denoiser_state", "network_config"]

import hashlib
import json
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.network_file import NETWORKS


def denoiser_state(denoiser: Denoiser) -> dict[str, Shaped[Tensor, "..."]]:
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
    elif isinstance(denoiser, NetworkDenoiser) and type(denoiser.network).__name__ in NETWORKS:
        state = denoiser.network.state_dict()
    else:
        what = denoiser.network if isinstance(denoiser, NetworkDenoiser) else denoiser
        raise ValueError(
            "`denoiser` must be an ExactDenoiser, a GaussianDenoiser or a NetworkDenoiser with one of "
            f"{', '.join(NETWORKS)} to be saved, got {type(what).__name__}."
        )
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def network_config(network: Any) -> dict[str, Any]:
    """The settings of a network of `NETWORKS`, with its class, and without where it was loaded from."""
    config: dict[str, Any] = json.loads(network.to_json_string())
    config.pop("_name_or_path", None)
    return config


def denoiser_hash(denoiser: Denoiser) -> str:
    """SHA-256 of everything that decides the answers of a denoiser: configuration, schedule and numbers.

    Two denoisers with the same hash give the same answers, but for rounding; where one was loaded from and
    with which version is not part of it.

    Raises:
        ValueError: If the denoiser is of a kind that cannot be saved and has no `identity`.
    """
    settings: dict[str, Any] = {
        "kind": type(denoiser).__name__,
        "schedule": repr(denoiser.schedule),
        "shape": list(denoiser.shape),
        "dtype": str(denoiser.dtype),
        "clip_range": denoiser.clip_range,
    }
    if isinstance(denoiser, NetworkDenoiser):
        config = network_config(denoiser.network)
        config.pop("_diffusers_version", None)
        settings |= {"prediction": denoiser.prediction, "network": config}
    if denoiser.identity is not None:
        settings["identity"] = dict(denoiser.identity)
    state = {} if denoiser.identity is not None else denoiser_state(denoiser)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode() + b"\0")
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
