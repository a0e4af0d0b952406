"""The data sets known by name. A new one is a file with a loader and a line in `DATASETS`."""

__all__ = ["DATASETS", "Loader"]

from collections.abc import Callable

from spurion.data.digits import load_digits
from spurion.data.split import Split

Loader = Callable[[bool], Split]
"""Called as ``loader(allow_download)``; float32 images in [-1, 1] in a fixed order."""

DATASETS: dict[str, Loader] = {
    "digits": load_digits,
}
