"""Images: sets in [-1, 1], built-in data sets, and anything a user brings."""

from spurion.data.builtin import DATASETS, DataSet
from spurion.data.imageset import ImageSet
from spurion.data.load import load_split
from spurion.data.open import Source, open_images, opener, ranges_for
from spurion.data.ranges import Declared, ValueRange
from spurion.data.rights import Rights
from spurion.data.split import PAPER_SEED, Split, hold_out, nested_order

__all__ = [
    "DATASETS",
    "PAPER_SEED",
    "DataSet",
    "Declared",
    "ImageSet",
    "Rights",
    "Source",
    "Split",
    "ValueRange",
    "hold_out",
    "load_split",
    "nested_order",
    "open_images",
    "opener",
    "ranges_for",
]
