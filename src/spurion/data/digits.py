"""The digits inside scikit-learn: 1,797 real handwritten digits, 8 x 8, gray levels 0 to 16.

References:
    | Optical Recognition of Handwritten Digits (Alpaydin & Kaynak, 1998), https://doi.org/10.24432/C50P49
"""

__all__ = ["load_digits"]

import torch

from spurion.data.imageset import ImageSet
from spurion.data.split import Split, hold_out


def load_digits(allow_download: bool = False) -> Split:
    """Load the digits as x = u / 8 - 1 with shape (1, 8, 8); a fifth of them is held out for good.

    Arguments:
        allow_download: Of no consequence: the images come with scikit-learn.

    Returns:
        1,438 images to train on and 359 held out.
    """
    from sklearn import datasets  # a second of import time that only this set needs

    levels = torch.from_numpy(datasets.load_digits().images)
    return hold_out(ImageSet((levels / 8 - 1).float().unsqueeze(1), "digits"), 0.2)
