"""A model with prompts in closed form: a mixture of Gaussians whose weights an embedding decides.

Component k has mean mu_k and covariance v_k I, and the logit of its weight is the product of the embedding
(L, d) with a key of its own; without a prompt all weights are equal. At time t component k has the variance
S_k = alpha^2 v_k + sigma^2, so that with g_k = -(x - alpha mu_k) / S_k and posterior weights w_k

    s = sum_k w_k g_k,    H = sum_k w_k (g_k g_k^T - I / S_k) - s s^T.

`Truth` computes these with numpy; `network` computes the posterior mean, or what it implies, with torch.
"""

import numpy as np
import torch

from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.schedule import DDPMSchedule
from spurion.prompts.noises import initial_noises
from spurion.prompts.subject import Seeds, Subject, Text
from spurion.prompts.walk import usual_walk

SCHEDULE = DDPMSchedule(steps=40, beta_start=1e-3, beta_end=0.3)
BARS = np.cumprod(1 - np.linspace(1e-3, 0.3, 40))
SHAPE = (3, 2, 1)
VARIANCES = (1e-4, 0.2, 0.5, 0.3)
LENGTH, WIDTH = 5, 2
PLACES = (1, 2, 3)
END = 4
STEPS = 6
TIMES = (39, 31, 23, 16, 8, 0)


def random(*size, path="model"):
    return torch.randn(*size, dtype=torch.float64, generator=generator(0, "conditional", path, *size))


class Mixture:
    """The components of a model for items of one shape."""

    def __init__(self, shape=SHAPE):
        self.shape = shape
        self.means = 0.7 * random(len(VARIANCES), *shape, path="means").flatten(1)
        self.keys = 0.4 * random(len(VARIANCES), LENGTH, WIDTH, path="keys")
        self.variances = torch.tensor(VARIANCES, dtype=torch.float64)


class Network(torch.nn.Module):
    """What a network that was trained to predict one of the three would answer."""

    def __init__(self, mixture, embedding, prediction):
        super().__init__()
        self.mixture, self.embedding, self.prediction = mixture, embedding, prediction
        self.register_parameter("unused", torch.nn.Parameter(torch.zeros(1, dtype=torch.float64)))

    def forward(self, x_t, t):
        mixture = self.mixture
        alpha, sigma = SCHEDULE.alpha(t)[:, None], SCHEDULE.sigma(t)[:, None]
        offset = x_t.flatten(1)[:, None] - alpha[..., None] * mixture.means
        spread = alpha**2 * mixture.variances + sigma**2
        logits = -offset.square().sum(2) / (2 * spread) - mixture.means.shape[1] / 2 * spread.log()
        if self.embedding is not None:
            logits = logits + (mixture.keys * self.embedding).sum((1, 2))
        means = mixture.means + (alpha * mixture.variances / spread)[..., None] * offset
        x_hat = (logits.softmax(1)[..., None] * means).sum(1)
        epsilon = (x_t.flatten(1) - alpha * x_hat) / sigma
        answers = {"sample": x_hat, "epsilon": epsilon, "v_prediction": alpha * epsilon - sigma * x_hat}
        return answers[self.prediction].view_as(x_t)


def denoiser(embedding=None, prediction="epsilon", mixture=None):
    mixture = mixture or Mixture()
    return NetworkDenoiser(Network(mixture, embedding, prediction), SCHEDULE, mixture.shape, prediction)


class Truth:
    """Score and Hessian by numpy, of one flat point."""

    def __init__(self, embedding=None, mixture=None):
        mixture = mixture or Mixture()
        self.means, self.variances = mixture.means.numpy(), np.array(VARIANCES)
        keys = mixture.keys.numpy()
        self.logits = np.zeros(len(keys)) if embedding is None else np.tensordot(keys, embedding, 2)

    def parts(self, x, t):
        alpha = np.sqrt(BARS[t])
        spread = BARS[t] * self.variances + 1 - BARS[t]
        pulls = (alpha * self.means - x) / spread[:, None]
        logs = self.logits - (pulls**2).sum(1) * spread / 2 - len(x) / 2 * np.log(spread)
        weights = np.exp(logs - logs.max())
        return pulls, spread, weights / weights.sum()

    def score(self, x, t):
        pulls, _, weights = self.parts(x, t)
        return weights @ pulls

    def hessian(self, x, t):
        pulls, spread, weights = self.parts(x, t)
        score = weights @ pulls
        outer = np.einsum("k,ki,kj->ij", weights, pulls, pulls)
        return outer - (weights / spread).sum() * np.eye(len(x)) - np.outer(score, score)

    def epsilon(self, x, t):
        return -np.sqrt(1 - BARS[t]) * self.score(x, t)


EMBEDDING = random(LENGTH, WIDTH, path="embedding")


def attention(x_t, t):
    """Some share (n, positions, tokens) of each token at each position."""
    channels = x_t.flatten(2).movedim(1, 2)  # (n, positions, c)
    keys = random(x_t.shape[1], LENGTH, path="attention").to(x_t)
    return ((1 + 0.01 * t) * channels @ keys).softmax(2)


def seeds(count=3, prediction="epsilon", mixture=None, *, noises=None, wrap=lambda model: model):
    mixture = mixture or Mixture()
    noises = initial_noises(mixture.shape, count, 7).double() if noises is None else noises
    return Seeds(wrap(denoiser(None, prediction, mixture)), noises, usual_walk(SCHEDULE, STEPS))


def subject(given, prediction="epsilon", mixture=None, *, wrap=lambda model: model, places=PLACES, **changed):
    def at(embedding):
        return wrap(denoiser(embedding, prediction, mixture))

    words = tuple(f"word{place}" for place in places)
    text = Text(tokens=words, places=places, embedding=EMBEDDING, at=at)
    options = {"guidance": 3.0, "text": text, "attention": attention, "end": END} | changed
    return Subject(at(EMBEDDING), given, **options)


class Broken(Denoiser):
    """A model that answers NaN, whatever it is asked."""

    def __init__(self, inner):
        self.inner, self.schedule, self.shape, self.dtype = inner, inner.schedule, inner.shape, inner.dtype

    def denoise(self, x_t, t):
        return torch.full_like(x_t, torch.nan)
