"""A network of a model folder: from its configuration and its weights, never more than the weights bear out.

A configuration is text that anyone can write, so nothing is built from it before it fits the weights: the
numbers of layers are compared with the number of tensors, and the network is made without memory (on torch's
device `meta`), where the shape of every tensor and of its answer is known. Only then is it made for real.
"""

__all__ = ["NETWORKS", "building", "load_network", "misfit", "read_config", "today"]

import inspect
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from spurion.core.files import read_json
from spurion.diffusion.model_index import NETWORK_FILE
from spurion.diffusion.schedule import DDPMSchedule, Schedule
from spurion.diffusion.unsupported import unsupported
from spurion.diffusion.weights_file import find_weights, read_tensors, weight_shapes

NETWORKS = {
    "UNet2DModel": "diffusers.models.unets.unet_2d",
    "ResidualMLP": "spurion.diffusion.denoisers.mlp",
    "FourierResidual": "spurion.diffusion.denoisers.fourier_residual",
    "FourierMLP": "spurion.diffusion.denoisers.fourier_mlp",
}
"""The class of every network that can be saved, and its module, imported when it is first needed."""

LARGEST_ITEM = 2**22
"""Numbers in one item; an image of 1024 x 1024 in color has 3 * 2^20."""

_RENAMED = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
"""Names of attention weights in models of diffusers before 0.15, and what they are called today."""


def load_network(folder: Path, schedule: Schedule, named: str | None) -> tuple[Any, tuple[int, ...]]:
    """Load a network in float32.

    Arguments:
        folder: The folder with its configuration and weights.
        schedule: The noise schedule it shall work on.
        named: The class that the index of the model folder names; None without an index.

    Returns:
        The network, and the shape of its items.

    Raises:
        ValueError: If anything is missing, damaged or unsupported, or the parts do not fit each other.
    """
    path = folder / NETWORK_FILE
    kind, config = read_config(path, NETWORKS, named)
    _check_kind(path, config, schedule)
    files = find_weights(folder)
    shapes = {today(key): shape for key, shape in weight_shapes(files).items()}
    _check_depth(path, config, shapes)
    item = _item_shape(path, config)
    with building(folder):
        _check_fit(_made(kind, config, "meta"), item, shapes)
        network = _made(kind, config, "cpu")
    network.load_state_dict({today(key): value for key, value in read_tensors(files).items()})
    return network, item


def read_config(
    path: Path, kinds: Mapping[str, str], named: str | None
) -> tuple[type[nn.Module], dict[str, Any]]:
    """Read the configuration of a network.

    Arguments:
        path: The file.
        kinds: The classes it may be of, with their modules.
        named: The class that the index of the model folder names; None without an index.

    Returns:
        The class, and all of its settings: those that are given, and the defaults of the others.

    Raises:
        ValueError: If there is no such file, or it is damaged or of another class.
    """
    if not path.is_file():
        raise ValueError(f"{path.parent} is damaged: it has no {path.name}.")
    values = read_json(path, constants=True)
    values = values if isinstance(values, dict) else {}
    name = values.get("_class_name")
    if not isinstance(name, str) or name not in kinds:
        raise unsupported(path, name, kinds)
    if named not in (None, name):
        raise ValueError(f"{path} is of the class {name}, but the index of its folder says {named!r:.80}.")
    kind: type[nn.Module] = getattr(import_module(kinds[name]), name)
    return kind, _complete(kind, values)


def _complete(kind: type[nn.Module], values: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a class: those that are given, and the defaults of the others."""
    parameters = inspect.signature(kind).parameters.values()
    defaults = {one.name: None if one.default is one.empty else one.default for one in parameters}
    return {name: values.get(name, default) for name, default in defaults.items()}


def _check_kind(path: Path, config: Mapping[str, Any], schedule: Schedule) -> None:
    """Refuse what is no denoiser of images and steps alone, or was made for another schedule."""
    if config.get("class_embed_type") is not None or config.get("num_class_embeds") is not None:
        raise ValueError(
            f"{path}: the network is conditioned on classes (`num_class_embeds`, `class_embed_type`), which "
            "is not supported yet; draw its samples elsewhere and give them to `spurion audit --samples`."
        )
    if config.get("time_embedding_type") == "fourier":
        raise ValueError(
            f"{path}: `time_embedding_type`: fourier is for noise levels in continuous time (it divides by "
            "the step, and has no answer at step 0); only networks of discrete steps are supported."
        )
    steps = schedule.steps if isinstance(schedule, DDPMSchedule) else None
    if config.get("time_embedding_type") == "learned" and config["num_train_timesteps"] != steps:
        raise _other_schedule(path, "num_train_timesteps", config["num_train_timesteps"], steps)
    if "time_embedding_type" in config:
        return
    for field in ("steps", "beta_start", "beta_end", "beta_schedule"):
        expected = getattr(schedule, field, None)
        if field in config and config[field] != expected and (field == "steps" or steps is not None):
            raise _other_schedule(path, field, config[field], expected)


def _other_schedule(path: Path, field: str, got: object, expected: object) -> ValueError:
    return ValueError(
        f"{path}: the network was made for another schedule: its `{field}` is {got!r:.80}, and that of the "
        f"scheduler {expected!r:.80}."
    )


def _check_depth(path: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Every layer has a tensor, and every feature of time a weight: more of them are not even begun."""
    channels = config.get("block_out_channels")
    levels = len(channels) if isinstance(channels, list | tuple) else 1
    bounds = {
        "block_out_channels": (levels, len(shapes)),
        "layers_per_block": (config.get("layers_per_block"), len(shapes) // max(levels, 1)),
        "blocks": (config.get("blocks"), len(shapes)),
        "time_features": (config.get("time_features"), sum(map(math.prod, shapes.values()))),
    }
    for field, (got, most) in bounds.items():
        if got is not None and not (isinstance(got, int) and 0 <= got <= most):
            raise ValueError(f"{path}: `{field}` does not fit the weights beside it, got {got!r:.80}.")


def _item_shape(path: Path, config: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape of the items of a network."""
    if "shape" in config:
        shape = config["shape"]
    else:
        size, channels = config["sample_size"], config["in_channels"]
        if type(channels) is int and config["out_channels"] == 2 * channels:
            raise ValueError(
                f"{path}: the network has twice as many channels out as in ({channels} and {2 * channels}): "
                "it also predicts a variance, and learned variance is not supported; draw its samples with "
                "its own code and give them to `spurion audit --samples`."
            )
        if size is None or config["out_channels"] != channels:
            raise ValueError(
                f"{path} is of a U-Net with sample_size {size}, {channels!r:.80} channels in and "
                f"{config['out_channels']!r:.80} out; it needs a size and as many channels out as in."
            )
        sides = size if isinstance(size, list | tuple) else [size, size]
        shape = [channels, *sides] if len(sides) == 2 else None
    if not (isinstance(shape, list | tuple) and shape and all(type(side) is int for side in shape)):
        raise ValueError(f"{path}: the shape of its images must be whole numbers, got {shape!r:.80}.")
    if min(shape) < 1 or math.prod(shape) > LARGEST_ITEM:
        raise ValueError(f"{path}: an image must have 1 to {LARGEST_ITEM} numbers, got shape {shape!r:.80}.")
    return tuple(shape)


def _made(kind: type[nn.Module], config: Mapping[str, Any], device: str) -> Any:
    """The network on a device, with weights that mean nothing yet."""
    with torch.random.fork_rng(devices=[]), torch.device(device):
        return cast(Any, kind)(**config).eval()


def _check_fit(network: Any, item: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Compare a network without memory with the weights, and its answer with the shape of its items."""
    if wrong := misfit(network, shapes):
        raise ValueError(wrong)
    if type(network).__name__ == "UNet2DModel":
        x_t = torch.empty(1, *item, device="meta")
        answer = network(x_t, torch.zeros(1, dtype=torch.long, device="meta")).sample
        if answer.shape != x_t.shape:
            raise ValueError(f"for images of shape {item} it answers with shape {tuple(answer.shape[1:])}")


def misfit(network: Any, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What is wrong with the shapes of weights for a network, in words; nothing if they fit."""
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    wrong = [name for name in sorted({*own, *shapes}) if own.get(name) != shapes.get(name)]
    return f"{len(wrong)} weights do not fit its {NETWORK_FILE}, such as {wrong[0]:.80}" if wrong else ""


@contextmanager
def building(folder: Path, what: str = "network") -> Iterator[None]:
    """Turn whatever a library finds wrong with a configuration into one sentence, and keep it quiet."""
    logger = logging.getLogger("diffusers")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except Exception as error:
        reason = ascii(" ".join(str(error).split()) or type(error).__name__)[1:-1]
        raise ValueError(f"{folder} is damaged: its {what} cannot be built ({reason:.200}).") from None
    finally:
        logger.setLevel(level)


def today(name: str) -> str:
    """The present name of a weight of an old model."""
    for former, now in _RENAMED.items():
        name = name.replace(former, now)
    return name
