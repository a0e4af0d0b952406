"""The networks of a text-to-image pipeline: the one that denoises latents, and the one that makes images.

As for models of pixels, a configuration is text that anyone can write: a network is made without memory first
(on torch's device `meta`), compared with the shapes of the weights and asked once for the shape of its
answer; only then are the weights read, which take the places of what was made without memory.
"""

__all__ = ["Autoencoder", "fill", "load_autoencoder", "load_network"]

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spurion.diffusion.model_index import NETWORK_FILE
from spurion.diffusion.network_file import LARGEST_ITEM, building, misfit, read_config, today
from spurion.diffusion.weights_file import read_tensors, weight_shapes
from spurion.prompts.pipeline_folder import part_weights

NETWORKS = {"UNet2DConditionModel": "diffusers.models.unets.unet_2d_condition"}
AUTOENCODERS = {
    "AutoencoderKL": "diffusers.models.autoencoders.autoencoder_kl",
    "AutoencoderTiny": "diffusers.models.autoencoders.autoencoder_tiny",
}
"""Classes with their modules, which are imported when they are first needed."""

_LAYERS = (
    "layers_per_block",
    "transformer_layers_per_block",
    "reverse_transformer_layers_per_block",
    "num_encoder_blocks",
    "num_decoder_blocks",
)
_LISTS = (
    "block_out_channels",
    "down_block_types",
    "up_block_types",
    "encoder_block_out_channels",
    "decoder_block_out_channels",
)


_FEATURES = 2**16
"""At most of a size among the conditions."""


class Conditions(NamedTuple):
    """What a network is asked with beside a latent: how many tokens, their width, and more of SDXL."""

    tokens: int
    width: int
    pooled: int | None


def load_network(
    folder: Path, named: str, channels: int, conditions: Conditions, dtype: torch.dtype
) -> tuple[Any, tuple[int, ...]]:
    """Load the denoising network of a pipeline.

    Arguments:
        folder: The folder of the part.
        named: The class that the index of the pipeline names.
        channels: The channels of latents.
        conditions: What it is asked with.
        dtype: The type of its weights.

    Returns:
        The network, on the CPU, without gradients of its weights; and the shape (c, h, w) of its latents.

    Raises:
        ValueError: If anything is missing, damaged or unsupported, or the parts do not fit each other.
    """
    path = folder / NETWORK_FILE
    kind, config = read_config(path, NETWORKS, named)
    _check_kind(path, config, channels, conditions)
    shape = _latent_shape(path, config)

    def answer(network: Any) -> None:
        with torch.device("meta"):
            x_t, context = torch.empty(1, *shape), torch.empty(1, conditions.tokens, conditions.width)
            more = {"time_ids": torch.empty(1, 6), "text_embeds": torch.empty(1, conditions.pooled or 0)}
            t = torch.zeros(1, dtype=torch.long)
            added = None if conditions.pooled is None else more
            out = network(x_t, t, encoder_hidden_states=context, added_cond_kwargs=added).sample
        if out.shape != x_t.shape:
            raise ValueError(f"for latents of shape {shape} it answers with shape {tuple(out.shape[1:])}")

    return _loaded(folder, kind, config, dtype, answer), shape


def _check_kind(path: Path, config: Mapping[str, Any], channels: int, conditions: Conditions) -> None:
    """Refuse what wants more than latents, steps and texts, or other texts than the encoders make."""
    given = {"class_embed_type", "num_class_embeds", "time_cond_proj_dim", "encoder_hid_dim_type"}
    words = {
        "class_embed_type": "it is conditioned on classes",
        "num_class_embeds": "it is conditioned on classes",
        "time_cond_proj_dim": "guidance is one of its inputs, as in latent consistency models",
        "encoder_hid_dim_type": "it is conditioned on other things than encoded texts",
    }
    for field in sorted(given):
        if config[field] is not None:
            raise _unsupported(path, field, config[field], words[field])
    if config["in_channels"] != channels:
        reason = f"latents have {channels} channels: it also wants an image or a mask"
        raise _unsupported(path, "in_channels", config["in_channels"], reason)
    if config["out_channels"] != channels:
        raise _unsupported(path, "out_channels", config["out_channels"], f"latents have {channels} channels")
    if config["time_embedding_type"] != "positional":
        raise _unsupported(path, "time_embedding_type", config["time_embedding_type"], "steps are expected")
    expected = None if conditions.pooled is None else "text_time"
    if config["addition_embed_type"] != expected:
        reason = f"a pipeline of its kind has {expected} there"
        raise _unsupported(path, "addition_embed_type", config["addition_embed_type"], reason)
    if set(_whole_numbers(config["cross_attention_dim"])) != {conditions.width}:
        raise ValueError(
            f"{path}: the network reads texts of width {config['cross_attention_dim']!r:.80} "
            f"(`cross_attention_dim`), and the text encoders make them {conditions.width} wide."
        )


def _unsupported(path: Path, field: str, got: object, reason: str) -> ValueError:
    return ValueError(
        f"{path}: a network with `{field}`: {got!r:.80} is not supported ({reason}); draw its samples with "
        "its own code and give them to `spurion audit --samples`."
    )


def _latent_shape(path: Path, config: Mapping[str, Any]) -> tuple[int, ...]:
    size = config["sample_size"]
    sides = size if isinstance(size, list | tuple) else [size, size]
    shape = (config["in_channels"], *sides)
    if len(shape) != 3 or not all(type(side) is int and side > 0 for side in shape):
        raise ValueError(f"{path}: `sample_size` must be one or two whole numbers, got {size!r:.80}.")
    if math.prod(shape) > LARGEST_ITEM:
        raise ValueError(f"{path}: a latent must have at most {LARGEST_ITEM} numbers, got shape {shape}.")
    return shape


@final
class Autoencoder:
    """The network between latents and images, in float32, with latents scaled as the denoiser knows them.

    Arguments:
        network: An `AutoencoderKL` or an `AutoencoderTiny` of diffusers.

    Attributes:
        channels: The channels of latents.
    """

    def __init__(self, network: Any) -> None:
        self.network, config = network, network.config
        self.channels = int(config.latent_channels)
        self._scale = float(config.scaling_factor)
        mean, std = (getattr(config, f"latents_{word}", None) for word in ("mean", "std"))
        both = mean is not None and std is not None
        self._mean, self._std = (
            torch.tensor(values if both else [empty], dtype=torch.float32).view(1, -1, 1, 1)
            for values, empty in ((mean, 0.0), (std, 1.0))
        )

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n C H W"]:
        """Images in about [-1, 1], not clipped, on the device of the network."""
        mean, std = self._mean.to(latents), self._std.to(latents)
        images: Tensor = self.network.decode(latents * (std / self._scale) + mean).sample
        return images

    def encode(self, images: Float[Tensor, "n C H W"]) -> Float[Tensor, "n c h w"]:
        """Latents: the mean of the encoder's distribution, without noise."""
        encoded = self.network.encode(images)
        latents: Tensor = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mean
        return (latents - self._mean.to(latents)) * (self._scale / self._std.to(latents))

    def image_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the images of latents; the network must be without memory."""
        with torch.device("meta"):
            images = self.decode(torch.empty(1, *shape))
            back = self.encode(images)
        if tuple(back.shape[1:]) != shape:
            raise ValueError(
                f"it makes images of shape {tuple(images.shape[1:])} of latents of shape {shape}, and "
                f"latents of shape {tuple(back.shape[1:])} of those"
            )
        return tuple(images.shape[1:])


def load_autoencoder(folder: Path, named: str, network_config: Path) -> tuple[Autoencoder, tuple[int, ...]]:
    """Load the autoencoder of a pipeline in float32.

    Arguments:
        folder: The folder of the part.
        named: The class that the index of the pipeline names.
        network_config: The configuration of the denoising network, which says how large latents are.

    Returns:
        The autoencoder, on the CPU, and the shape (C, H, W) of its images.

    Raises:
        ValueError: If anything is missing, damaged or unsupported, or the parts do not fit each other.
    """
    path = folder / NETWORK_FILE
    kind, config = read_config(path, AUTOENCODERS, named)
    scale = config["scaling_factor"]
    if type(scale) not in (int, float) or not 0 < scale < math.inf:
        raise ValueError(f"{path}: `scaling_factor` must be a positive number, got {scale!r:.80}.")
    sizes = read_config(network_config, NETWORKS, None)[1]
    shape = (config["latent_channels"], *_latent_shape(network_config, sizes)[1:])
    if type(shape[0]) is not int or shape[0] < 1:
        raise ValueError(f"{path}: `latent_channels` must be a positive whole number, got {shape[0]!r:.80}.")
    image_shapes: list[tuple[int, ...]] = []
    network = _loaded(
        folder,
        kind,
        config,
        torch.float32,
        lambda network: image_shapes.append(Autoencoder(network).image_shape(shape)),
    )
    return Autoencoder(network), image_shapes[0]


def _loaded(
    folder: Path,
    kind: type[nn.Module],
    config: Mapping[str, Any],
    dtype: torch.dtype,
    asked: Callable[[Any], None],
) -> Any:
    """A network with its weights, which is asked before them without memory."""
    files = part_weights(folder)
    shapes = {today(name): shape for name, shape in weight_shapes(files).items()}
    _check_depth(folder / NETWORK_FILE, config, len(shapes))
    with building(folder), torch.random.fork_rng(devices=[]), torch.no_grad():
        with torch.device("meta"):
            network = cast(Any, kind)(**config).eval()
        if wrong := misfit(network, shapes):
            raise ValueError(wrong)
        asked(network)
    tensors = {today(name): value for name, value in read_tensors(files, dtype=dtype).items()}
    return fill(network, tensors)


def _check_depth(path: Path, config: Mapping[str, Any], most: int) -> None:
    """Every layer has a weight: more of them are not even begun."""
    layers = math.prod(max([1, *_whole_numbers(config.get(field))]) for field in _LAYERS[:2])
    layers *= max(len(value) for field in _LISTS if isinstance(value := config.get(field, ""), list | tuple))
    blocks = sum(sum(_whole_numbers(config.get(field))) for field in _LAYERS[2:])
    features = max([0, *_whole_numbers(config.get("addition_time_embed_dim"))])
    if max(layers, blocks) > most or features > _FEATURES:
        raise ValueError(f"{path} does not fit the weights beside it: it has more layers than weights.")


def _whole_numbers(value: Any) -> list[int]:
    """All whole numbers in a number or in lists of lists of them."""
    if isinstance(value, list | tuple):
        return [number for one in value for number in _whole_numbers(one)]
    return [value] if type(value) is int else []


def fill(network: nn.Module, tensors: Mapping[str, Tensor]) -> Any:
    """Give a network without memory its weights, which then have no gradients."""
    network.load_state_dict(dict(tensors), assign=True)
    for name, value in (*network.named_parameters(), *network.named_buffers()):
        if value.is_meta:
            raise ValueError(f"`{name}` of {type(network).__name__} is no weight, and is not known.")
    return network.requires_grad_(False).eval()
