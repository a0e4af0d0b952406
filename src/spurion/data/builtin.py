"""The data sets known by name. A new one is a file with a loader and a line in `DATASETS`."""

__all__ = ["DATASETS", "Loader"]

from collections.abc import Callable
from functools import partial

from spurion.data.digits import load_digits
from spurion.data.emoji import load_emoji
from spurion.data.hub import load_hub
from spurion.data.mnist_5k import load_mnist_5k
from spurion.data.split import Split

Loader = Callable[[bool], Split]
"""Called as ``loader(allow_download)``; float32 images in [-1, 1] in a fixed order."""

DATASETS: dict[str, Loader] = {
    "digits": load_digits,
    "mnist-5k": load_mnist_5k,
    "emoji": load_emoji,
    "mnist": partial(load_hub, "mnist"),
    "fashion-mnist": partial(load_hub, "fashion-mnist"),
    "cifar10": partial(load_hub, "cifar10"),
    "lsun-church": partial(load_hub, "lsun-church"),
}
