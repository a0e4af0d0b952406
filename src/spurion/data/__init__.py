"""Images: sets in [-1, 1], built-in data sets, and anything a user brings."""

from spurion.data.builtin import DATASETS
from spurion.data.imageset import ImageSet
from spurion.data.load import load_split
from spurion.data.open import Source, open_images
from spurion.data.split import PAPER_SEED, Split, hold_out, nested_order

__all__ = [
    "DATASETS",
    "PAPER_SEED",
    "ImageSet",
    "Source",
    "Split",
    "hold_out",
    "load_split",
    "nested_order",
    "open_images",
]
