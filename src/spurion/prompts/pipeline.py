r"""A text-to-image pipeline of diffusers: prompts in, denoisers, latents and images out.

The process runs on latents :math:`x` of shape (c, h, w), which a decoder turns into images of shape
(C, H, W). Nothing in a folder is executed, nothing is unpickled, and nothing is fetched.

References:
    | High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al., 2022)
    | SDXL (Podell et al., 2023), Sec. 2
"""

__all__ = ["TextPipeline", "load_pipeline"]

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.arguments import NUMBER, PATH, check_arguments
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.scheduler_file import SCHEDULER_FILE, load_process
from spurion.prompts.attention import cross_attention
from spurion.prompts.conditioned import PromptDenoiser, Question
from spurion.prompts.networks import Autoencoder, Conditions, load_autoencoder, load_network
from spurion.prompts.pipeline_folder import find_pipeline, pipeline_hash
from spurion.prompts.spacing import Spacing, read_spacing
from spurion.prompts.text import Conditioning, TextEncoders, load_text_encoders
from spurion.prompts.walk import Walk

_PIXELS = 2**20
"""At most in images that are decoded or encoded together."""


@final
@dataclass(frozen=True, eq=False)
class TextPipeline:
    """A text-to-image pipeline.

    Attributes:
        name: The folder it was loaded from.
        folder_hash: The hash of everything in that folder that decides its answers.
        question: The denoising network and what its answers mean.
        autoencoder: What makes images of latents, in float32.
        encoders: What makes conditions of prompts, in float32.
        image_shape: The shape (C, H, W) of images.
        spacing: How a walk spaces its times.
        zeros_for_empty: Whether no negative prompt is the condition zero, not that of an empty text.
        notes: What of the folder is not run, in sentences.
        device: Where it computes.
    """

    name: str
    folder_hash: str
    question: Question
    autoencoder: Autoencoder
    encoders: TextEncoders
    image_shape: tuple[int, ...]
    spacing: Spacing
    zeros_for_empty: bool
    notes: tuple[str, ...]
    device: torch.device

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (c, h, w) of latents."""
        return self.question.shape

    @property
    def schedule(self) -> DDPMSchedule:
        """The noise schedule."""
        return self.question.schedule

    @property
    def kind(self) -> str:
        """Its class in diffusers."""
        return "StableDiffusionPipeline" if self.encoders.pooled is None else "StableDiffusionXLPipeline"

    @property
    def max_tokens(self) -> int:
        """The most tokens of a prompt, start and end included."""
        return self.encoders.max_tokens

    def encode(self, prompts: Sequence[str]) -> list[Conditioning]:
        """Encode prompts, each by itself.

        Arguments:
            prompts: Texts; "" is one. What does not fit is cut, which `Conditioning.cut` tells.

        Raises:
            ValueError: If one is no text.
        """
        if isinstance(prompts, str) or not all(isinstance(prompt, str) for prompt in prompts):
            raise ValueError("`prompts` must be a list of texts.")
        return [self.encoders.encode(prompt, self._sizes) for prompt in prompts]

    def at(
        self, prompt: str | Conditioning, guidance: float = 7.5, negative: str | Conditioning = ""
    ) -> PromptDenoiser:
        r"""The denoiser of a prompt.

        Arguments:
            prompt: A text, or one that is encoded.
            guidance: 1: conditional (one pass of the network); 0: unconditional (one pass); else two passes.
            negative: What the guidance leads away from; "" is no negative prompt.

        Raises:
            ValueError: If a prompt is neither, or `guidance` is not finite.
        """
        check_arguments(
            locals(),
            {
                "guidance": NUMBER,
                "prompt": (str | Conditioning, "a text or a Conditioning"),
                "negative": (str | Conditioning, "a text or a Conditioning"),
            },
        )
        conditioning = self.encode([prompt])[0] if isinstance(prompt, str) else prompt
        against = None
        if guidance != 1:
            against = self._no_prompt(negative) if isinstance(negative, str) else negative
        said = tuple(f"text: {one}" if isinstance(one, str) else None for one in (prompt, negative))
        return PromptDenoiser(
            self.question,
            conditioning,
            against,
            guidance,
            name=self.name,
            folder_hash=self.folder_hash,
            said=(said[0], said[1]),
        )

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n C H W"]:
        """Make images of latents, in batches.

        Arguments:
            latents: Latents, scaled, with shape (n, c, h, w), on any device.

        Returns:
            Images, float32, clipped to [-1, 1], on the CPU, with shape (n, C, H, W).

        Raises:
            ValueError: If the shape does not fit, or an image is not finite.
        """
        _check_shape("latents", latents, self.shape)
        parts = [torch.empty(0, *self.image_shape)]
        for batch in latents.split(self._at_once) if len(latents) else ():
            images = self.autoencoder.decode(batch.to(self.device, torch.float32)).cpu()
            if not images.isfinite().all():
                raise ValueError(
                    f"The decoder of {self.name} answers NaN or infinity: its weights are damaged, or the "
                    "latents are far from all that it knows."
                )
            parts.append(images.clamp(-1, 1))
        return torch.cat(parts)

    @torch.no_grad()
    def encode_images(self, images: Float[Tensor, "n C H W"]) -> Float[Tensor, "n c h w"]:
        """Make latents of images, in batches, without noise.

        Arguments:
            images: Images in [-1, 1], with shape (n, C, H, W), on any device.

        Returns:
            The means of the encoder, scaled, float32, on the pipeline's device, with shape (n, c, h, w).

        Raises:
            ValueError: If the shape does not fit.
        """
        _check_shape("images", images, self.image_shape)
        parts = [torch.empty(0, *self.shape, device=self.device)]
        for batch in images.split(self._at_once) if len(images) else ():
            parts.append(self.autoencoder.encode(batch.to(self.device, torch.float32)))
        return torch.cat(parts)

    def walk(self, steps: int) -> Walk:
        """The walk of deterministic DDIM, spaced as the scheduler file says; see `Spacing.walk`.

        Raises:
            ValueError: If there are no such walks.
        """
        return self.spacing.walk(self.schedule, steps)

    @torch.no_grad()
    def attention(
        self, conditioning: Conditioning, x_t: Float[Tensor, "n c h w"], t: int
    ) -> Float[Tensor, "n positions tokens"]:
        """How much each position of a latent attends to each token; see `cross_attention`."""
        return cross_attention(self.question, conditioning, x_t, t)

    def _no_prompt(self, text: str) -> Conditioning:
        """A negative prompt; "" is none."""
        encoded = self.encode([text])[0]
        return self.encoders.zeros(encoded) if text == "" and self.zeros_for_empty else encoded

    @cached_property
    def _sizes(self) -> Tensor | None:
        """The sizes that SDXL is told: of the original, of the crop, of the target."""
        if self.encoders.pooled is None:
            return None
        height, width = self.image_shape[1:]
        return torch.tensor([height, width, 0, 0, height, width], dtype=torch.float32, device=self.device)

    @property
    def _at_once(self) -> int:
        channels, height, width = self.image_shape
        return max(1, _PIXELS // (channels * height * width))


def load_pipeline(
    folder: Path | str, *, device: torch.device | str = "cpu", half: bool = False
) -> TextPipeline:
    """Open a `StableDiffusionPipeline` or a `StableDiffusionXLPipeline` of diffusers.

    Arguments:
        folder: The folder.
        device: Where it shall compute.
        half: Whether the denoising network computes in half precision (bfloat16 on the CPU, else float16).
            Text encoders and decoder stay in float32.

    Raises:
        ValueError: If `transformers` is not installed, or there is no such folder, it is damaged, its weights
            are not finite, or it holds a model of a kind that is not supported.
    """
    check_arguments(locals(), {"folder": PATH})
    folder, device = Path(folder), torch.device(device)
    index = find_pipeline(folder)
    process = load_process(folder / "scheduler", index.classes["scheduler"])
    if not isinstance(process.schedule, DDPMSchedule):
        raise ValueError(f"{folder / 'scheduler' / SCHEDULER_FILE} is of no process in steps, as texts need.")
    spacing = read_spacing(folder / "scheduler" / SCHEDULER_FILE, corrected=not index.two_encoders)
    encoders = load_text_encoders(index)
    autoencoder, image_shape = load_autoencoder(
        folder / "vae", index.classes["vae"], folder / "unet" / "config.json"
    )
    conditions = Conditions(encoders.max_tokens, encoders.width, encoders.pooled)
    dtype = (torch.bfloat16 if device.type == "cpu" else torch.float16) if half else torch.float32
    network, shape = load_network(
        folder / "unet", index.classes["unet"], autoencoder.channels, conditions, dtype
    )
    encoders.to(device)
    autoencoder.network.to(device)
    return TextPipeline(
        name=str(folder),
        folder_hash=pipeline_hash(index),
        question=Question(network.to(device), process.schedule, process.prediction, shape),
        autoencoder=autoencoder,
        encoders=encoders,
        image_shape=image_shape,
        spacing=spacing,
        zeros_for_empty=index.zeros_for_empty and index.two_encoders,
        notes=index.notes,
        device=device,
    )


def _check_shape(name: str, items: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(items.shape[1:]) != shape:
        raise ValueError(
            f"`{name}` must have shape (n, {', '.join(map(str, shape))}), got {tuple(items.shape)}."
        )
