"""The paper's four data sets, from the Hugging Face cache; the official test split is held out."""

__all__ = ["HUB_SETS", "HubSet", "load_hub"]

from dataclasses import dataclass

from spurion.data.hf import fetch, read_dataset
from spurion.data.split import Split


@dataclass(frozen=True)
class HubSet:
    """Where a data set is on the hub.

    Attributes:
        identifier: Its id; it has the splits ``train`` and ``test``.
        size: Crop and resize to this height and width, as in ADM; None leaves the images alone.
    """

    identifier: str
    size: int | None = None


HUB_SETS: dict[str, HubSet] = {
    "mnist": HubSet("ylecun/mnist"),
    "fashion-mnist": HubSet("zalando-datasets/fashion_mnist"),
    "cifar10": HubSet("uoft-cs/cifar10"),
    "lsun-church": HubSet("tglcourse/lsun_church_train", size=64),
}


def load_hub(name: str, allow_download: bool = False) -> Split:
    """Load one of `HUB_SETS`.

    Arguments:
        name: Which one.
        allow_download: Whether the network may be used.

    Raises:
        ValueError: If it is not in the cache and may not or cannot be fetched.
    """
    hub = HUB_SETS[name]
    train, test = (fetch(hub.identifier, split, allow_download=allow_download) for split in ("train", "test"))
    return Split(
        read_dataset(train, name, resize=hub.size),
        read_dataset(test, f"{name} (held out)", resize=hub.size),
    )
