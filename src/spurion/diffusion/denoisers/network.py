r"""A trained network as a denoiser, whatever it was trained to predict.

A network looks at a noisy image :math:`x_t = \alpha_t x + \sigma_t \epsilon` and predicts one of

.. math::
    \text{epsilon: } \hat\epsilon, \qquad
    \text{sample: } \hat x, \qquad
    \text{v\_prediction: } \hat v = \alpha_t \hat\epsilon - \sigma_t \hat x,

and the three say the same thing:

.. math:: \hat x = (x_t - \sigma_t \hat\epsilon) / \alpha_t = \alpha_t x_t - \sigma_t \hat v .

At the noisiest steps :math:`\alpha_t` is small (0.006 at t = 999), so that the posterior mean of a network
that predicts epsilon may leave [-1, 1] by far; samplers clip it. `Denoiser.epsilon` gives back what the
network predicted, to rounding.

References:
    | Denoising Diffusion Probabilistic Models (Ho et al., 2020), Eq. 9 and 15
    | Progressive Distillation for Fast Sampling of Diffusion Models (Salimans & Ho, 2022), Appendix D
"""

__all__ = ["NetworkDenoiser", "Prediction"]

from typing import Literal, cast, final, get_args

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from spurion.core.arguments import check_choice
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.schedule import Schedule

Prediction = Literal["epsilon", "sample", "v_prediction"]
"""What a network was trained to predict, in the words of diffusers' scheduler configurations."""


@final
class NetworkDenoiser(Denoiser):
    """The posterior mean that a network's prediction implies.

    Arguments:
        network: Called as ``network(x_t, t)`` with shapes (n, *shape) and (n,); returns a tensor with the
            shape of `x_t`, or an object that holds it as ``.sample`` (as diffusers' models do). It is put in
            evaluation mode, for dropout would make the denoiser random.
        schedule: The schedule it was trained on.
        shape: The shape of one item.
        prediction: What it was trained to predict: "epsilon", "sample" or "v_prediction".

    Raises:
        ValueError: If `prediction` is none of the three.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        shape: tuple[int, ...],
        prediction: str = "epsilon",
    ) -> None:
        check_choice("prediction", prediction, get_args(Prediction))
        self.network = network.eval()
        self.schedule = schedule
        self.shape = tuple(shape)
        self.prediction = cast(Prediction, prediction)
        parameter = next(network.parameters(), torch.empty(0))
        self.dtype, self.device = parameter.dtype, parameter.device

    def denoise(self, x_t: Float[Tensor, "n *shape"], t: Num[Tensor, " n"]) -> Float[Tensor, "n *shape"]:
        """Posterior mean from the network's prediction."""
        output = self.network(x_t, t)
        predicted: Tensor = output if isinstance(output, Tensor) else output.sample
        if self.prediction == "sample":
            return predicted
        alpha, sigma = self._coefficients(x_t, t)
        if self.prediction == "epsilon":
            return (x_t - sigma * predicted) / alpha
        return alpha * x_t - sigma * predicted
