r"""A prompt makes a denoiser.

A text-to-image network predicts noise for a latent, a step and an encoded prompt. With guidance :math:`g`

.. math:: \hat\epsilon = \hat\epsilon_0 + g (\hat\epsilon_c - \hat\epsilon_0),

where :math:`\hat\epsilon_c` is that of the prompt and :math:`\hat\epsilon_0` that of the negative prompt.
What a network predicts instead of noise, :math:`\hat x` or :math:`\hat v`, is guided alike, as they are
linear in one another. :math:`g = 1` is the conditional denoiser and :math:`g = 0` the unconditional one,
which need one pass of the network; any other needs two.

References:
    | Classifier-Free Diffusion Guidance (Ho & Salimans, 2022), Eq. 6
"""

__all__ = ["PromptDenoiser", "Question"]

import hashlib
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, final

import torch
from jaxtyping import Float, Num
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.network import Prediction
from spurion.diffusion.schedule import DDPMSchedule
from spurion.prompts.text import Conditioning


class Question(NamedTuple):
    """A network and what its answers mean.

    Attributes:
        network: A `UNet2DConditionModel`.
        schedule: The schedule it was trained on.
        prediction: What it predicts.
        shape: The shape of one latent.
    """

    network: Any
    schedule: DDPMSchedule
    prediction: Prediction
    shape: tuple[int, ...]

    def ask(
        self, x_t: Float[Tensor, "n c h w"], t: Num[Tensor, " n"], conditions: list[Conditioning]
    ) -> list[Float[Tensor, "n c h w"]]:
        """What the network predicts under each of some conditions, in one pass, in the dtype of `x_t`."""
        count, n, dtype = len(conditions), len(x_t), self.network.dtype
        device = x_t.device

        def stacked(values: list[Tensor]) -> Tensor:
            rows = [value.to(device, dtype).expand(n, *value.shape) for value in values]
            return rows[0] if count == 1 else torch.cat(rows)

        latents = x_t if count == 1 else torch.cat([x_t] * count)
        added = None
        if conditions[0].pooled is not None:
            added = {
                "text_embeds": stacked([one.pooled for one in conditions if one.pooled is not None]),
                "time_ids": stacked([one.extra for one in conditions if one.extra is not None]),
            }
        predicted: Tensor = self.network(
            latents.to(dtype),
            t.to(device).repeat(count),
            encoder_hidden_states=stacked([one.embedding for one in conditions]),
            added_cond_kwargs=added,
        ).sample
        return list(predicted.to(x_t.dtype).split(n))


@final
class PromptDenoiser(Denoiser):
    r"""The posterior mean of latents under a prompt.

    Its answers are in the dtype it is asked in (samplers ask in float32), even where the network computes in
    half precision. Latents have no range: nothing is clipped.

    Arguments:
        question: The network and what its answers mean.
        conditioning: The encoded prompt.
        negative: The encoded negative prompt; None where guidance is 1, which does not need it.
        guidance: The guidance :math:`g`, any finite number.
        name: What messages call the model.
        folder_hash: The hash of the folder it was loaded from.
        said: What tells the conditions from others, if not the numbers of their embeddings.

    Attributes:
        conditioning: The encoded prompt.
        negative: The encoded negative prompt, or None.
        guidance: The guidance.
        passes: How often the network is passed for one answer, 1 or 2.
    """

    clip_range = math.inf

    def __init__(
        self,
        question: Question,
        conditioning: Conditioning,
        negative: Conditioning | None,
        guidance: float,
        *,
        name: str = "in memory",
        folder_hash: str | None = None,
        said: tuple[str | None, str | None] = (None, None),
    ) -> None:
        if not math.isfinite(guidance):
            raise ValueError(f"`guidance` must be a finite number, got {guidance}.")
        if negative is None and guidance != 1:
            raise ValueError(f"`negative` must be given for a guidance other than 1, got {guidance:g}.")
        self._question, self.guidance = question, float(guidance)
        self.conditioning, self.negative = conditioning, negative
        self.schedule, self.shape = question.schedule, question.shape
        self.device = next(question.network.parameters()).device
        self.name, self.folder_hash = name, folder_hash
        self._asked = self._conditions()
        self.passes = len(self._asked)
        self.identity = self._identity(said)

    def denoise(self, x_t: Float[Tensor, "n *shape"], t: Num[Tensor, " n"]) -> Float[Tensor, "n *shape"]:
        """Posterior mean from the network's guided prediction."""
        answers = self._question.ask(x_t, t, self._asked)
        predicted = answers[0]
        if len(answers) == 2:
            predicted = answers[0] + self.guidance * (answers[1] - answers[0])
        if self._question.prediction == "sample":
            return predicted
        alpha, sigma = self._coefficients(x_t, t)
        if self._question.prediction == "epsilon":
            return (x_t - sigma * predicted) / alpha
        return alpha * x_t - sigma * predicted

    def _conditions(self) -> list[Conditioning]:
        """The negative prompt and the prompt, or the one of them that matters."""
        if self.negative is None or self.guidance == 1:
            return [self.conditioning]
        return [self.negative] if self.guidance == 0 else [self.negative, self.conditioning]

    def _identity(self, said: tuple[str | None, str | None]) -> Mapping[str, Any]:
        """What decides the answers, beside shape and schedule."""
        positive, negative = said
        used = {
            "prompt": (self.conditioning, positive) if self.guidance != 0 else None,
            "negative": (self.negative, negative) if self.guidance != 1 else None,
        }
        told = {
            word: None if one is None or one[0] is None else (one[1] or _digest(one[0]))
            for word, one in used.items()
        }
        precision = str(self._question.network.dtype)
        return {
            "folder": self.folder_hash,
            "guidance": self.guidance,
            "prediction": self._question.prediction,
            "network": precision,
            **told,
        }


def _digest(conditioning: Conditioning) -> str:
    """Hash of the numbers of a condition."""
    digest = hashlib.sha256()
    for value in (conditioning.embedding, conditioning.pooled, conditioning.extra):
        if value is not None:
            digest.update(f"{value.dtype} {tuple(value.shape)}".encode() + b"\0")
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
