"""Models that answer NaN or infinity: found where they answer, before anything is made of it."""

__all__ = ["check_answers", "finite_answer"]

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.schedule import DDPMSchedule

_LEAST_TIME = 0.01


def finite_answer(
    denoiser: Denoiser, x_t: Float[Tensor, "n *shape"], t: int | float
) -> Float[Tensor, "n *shape"]:
    """The posterior mean of finite noisy items.

    Raises:
        ValueError: If a number of it is NaN or infinite; the sentence names the model.
    """
    x_hat = denoiser(x_t, t)
    if not x_hat.isfinite().all():
        raise ValueError(
            f"The model {denoiser.name} answers NaN or infinity at step {t:g}: its weights or its "
            f"configuration are damaged, or its numbers overflow in {str(denoiser.dtype).split('.')[-1]}."
        )
    return x_hat


@torch.no_grad()
def check_answers(denoiser: Denoiser) -> None:
    """Check that a model answers a gray item in finite numbers, with little noise and with most.

    Raises:
        ValueError: If it does not.
    """
    x_t = torch.zeros(1, *denoiser.shape, dtype=denoiser.dtype, device=denoiser.device)
    schedule = denoiser.schedule
    ends = (0, schedule.steps - 1) if isinstance(schedule, DDPMSchedule) else (_LEAST_TIME, 1.0)
    for t in ends:
        finite_answer(denoiser, x_t, t)
