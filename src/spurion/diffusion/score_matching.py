r"""How to train the score networks of the circle in a minute.

For a variance-exploding process `spurion.diffusion.training.train` minimizes the paper's objective,

.. math:: \mathbb{E}_{t, x, z} \, \lVert \sigma_t s_\theta(x + \sigma_t z, t) + z \rVert^2, \qquad
    t \sim U(10^{-5}, 1],

for the network predicts :math:`\hat\epsilon = -\sigma_t s_\theta`. The authors train for 800,000 steps on
batches of all patterns, at most 500 of them. With fresh noise in every row a few patterns repeated are as
good as many, so that a batch of 128 serves for every K; and a high learning rate that decays to 0, with
averaged weights, goes most of the way in some thousand steps.

References:
    | Memorization to Generalization (Pham et al., 2025), Sec. A.2
    | A connection between score matching and denoising autoencoders (Vincent, 2011)
"""

__all__ = ["SCORE_TRAINING"]

from spurion.diffusion.training_config import TrainingConfig

SCORE_TRAINING: dict[str, TrainingConfig] = {
    "fourier-residual": TrainingConfig(
        iterations=3500,
        batch_size=128,
        replacement=False,
        learning_rate=1.5e-3,
        weight_decay=0.0,
        warmup=100,
        device="cpu",
    ),
    "fourier-mlp": TrainingConfig(
        iterations=8500,
        batch_size=128,
        replacement=False,
        learning_rate=6e-3,
        weight_decay=0.0,
        warmup=100,
        device="cpu",
    ),
}
"""The training of each network on two-dimensional patterns: about a minute, or 20 seconds, of one core."""
