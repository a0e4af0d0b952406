"""The smallest study of known prompts: a few images, a network of three layers, a dozen steps."""

from spurion.prompts.study.config import prompts_config

SMALL = (
    "counts={single: 6, planted: {3: 2, 5: 2}, shared: 2, images: 2, held_out: 3, examined: 4}",
    "network={channels: [16, 16], text_width: 8, text_layers: 1, text_heads: 1}",
    "training.iterations=6",
    "training.warmup=2",
    "training.batch_size=4",
    "training.checkpoint_every=2",
    "training.log_every=3",
    "steps=3",
    "seeds=2",
)


def small_config(*overrides):
    return prompts_config("prompts", [*SMALL, *overrides])
