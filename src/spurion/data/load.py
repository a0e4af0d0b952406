"""From a source to a training part and a held-out part."""

__all__ = ["load_split"]

from spurion.data.builtin import DATASETS
from spurion.data.split import Split


def load_split(
    source: str,
    *,
    holdout: float | None = None,
    allow_download: bool = False,
    resize: int | None = None,
) -> Split:
    """Load images to train on and images held out."""
    return DATASETS[source](allow_download)
