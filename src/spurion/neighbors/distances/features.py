"""Euclidean distance of feature vectors that the user brings: DINO, CLIP, SSCD, Inception...

Vectors come from a function of Python's (``Features(model)``), or from a file that holds the vector of every
image. In a file a vector belongs to an image by the image's content, never by its place in a list, so that
files, folders and subsets in any order find their vectors::

    from spurion.data import open_images
    from spurion.neighbors import save_features

    images = torch.cat([open_images(source).images for source in ("train/", "samples.npz")])
    save_features("dino.npz", images, model(images))

A file knows no other image than those it was made for.
"""

__all__ = ["Features", "save_features"]

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.arguments import PATH, TENSOR, check_arguments
from spurion.core.tensors import load_arrays, save_arrays
from spurion.neighbors.distances.distance import Distance
from spurion.neighbors.distances.embedder import Embedder
from spurion.neighbors.distances.keeper import image_digests

_MISSING = "The distance `features` needs a file of vectors, named by `--weights`; `save_features` writes it."


@final
class Features(Distance):
    """Euclidean distance of feature vectors; see the module.

    Arguments:
        function: From images in [-1, 1] with shape (b, C, H, W) to vectors with shape (b, d). It is called
            on full batches of one size, and a row must not depend on the other rows.
        source: What results say of where the vectors come from, such as the name of the model.

    Example:
        >>> import torch
        >>> mean_gray = Features(lambda images: images.mean(dim=(2, 3)), "mean gray")
        >>> mean_gray.pairwise(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))
        tensor([[1.]], dtype=torch.float64)
    """

    name: ClassVar[str] = "features"
    unit: ClassVar[str] = "Euclidean, as the vectors"
    in_studies: ClassVar[bool] = False

    def __init__(self, function: Callable[[Tensor], Tensor], source: str) -> None:
        self.weights = source
        self.embeds_any_image = not isinstance(function, _Table)
        self.costly = self.embeds_any_image
        self._embed = Embedder(function) if self.embeds_any_image else function

    @classmethod
    def load(cls, weights: str | None = None, allow_download: bool = False) -> "Features":
        """The distance of the vectors in a file that `save_features` wrote.

        Raises:
            ValueError: If no file is named, or it is missing, damaged or of another kind.
        """
        if weights is None:
            raise ValueError(_MISSING)
        path = Path(weights)
        table = _Table.read(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return cls(table, f"{path.name} (sha256 {digest[:16]})")

    @classmethod
    def state(cls) -> str:
        """What is needed to use it."""
        return _MISSING

    def embed(self, images: Float[Tensor, "n *shape"]) -> Float[Tensor, "n d"]:
        """The vectors of images, with shape (n, d).

        Raises:
            ValueError: If the file has no vector for an image, or the function returns something else.
        """
        return self._embed(images)


class _Table:
    """Vectors by the content of their images."""

    def __init__(self, digests: list[str], vectors: Float[Tensor, "n d"], name: str) -> None:
        self.rows: dict[str, int] = {}
        self.vectors = vectors
        self.name = name
        for index, digest in enumerate(digests):
            first = self.rows.setdefault(digest, index)
            if not torch.equal(vectors[first], vectors[index]):
                raise ValueError(f"{name}: images {first} and {index} are equal, but their vectors differ.")

    @classmethod
    def read(cls, path: Path) -> "_Table":
        try:
            arrays = load_arrays(path, "sha256", "vectors")
            digests, vectors = arrays["sha256"], torch.from_numpy(arrays["vectors"])
        except FileNotFoundError:
            raise ValueError(f"There is no file {path}; `save_features` writes it.") from None
        except (OSError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is not a file of vectors, as `save_features` writes it ({error!s:.200})."
            ) from None
        _check_vectors(vectors, len(digests), str(path))
        return cls(digests.tolist(), vectors, str(path))

    def __call__(self, images: Float[Tensor, "n *shape"]) -> Float[Tensor, "n d"]:
        found = [self.rows.get(digest, -1) for digest in _digests(images)]
        missing = [index for index, row in enumerate(found) if row < 0]
        if missing:
            raise ValueError(
                f"{self.name} has no vector for {len(missing)} of {len(images)} images, the first of them "
                f"image {missing[0]}; `save_features` must be given every image that is compared."
            )
        return self.vectors[torch.tensor(found, dtype=torch.int64)].to(images.device)


def save_features(path: Path | str, images: Float[Tensor, "n *shape"], vectors: Float[Tensor, "m d"]) -> None:
    """Write the vectors of images for the distance `features`.

    Arguments:
        path: The `.npz` to write: `sha256`, a digest of each image, and `vectors`.
        images: The images in [-1, 1] as `spurion.data.open_images` gives them, with shape (n, C, H, W).
        vectors: Their vectors, with shape (n, d), so m = n.

    Raises:
        ValueError: If numbers differ, a value is not finite, or equal images have different vectors.
    """
    check_arguments(locals(), {"path": PATH, "images": TENSOR, "vectors": TENSOR})
    vectors = vectors.detach().cpu()
    _check_vectors(vectors, len(images), "`vectors`")
    digests = _digests(images)
    _Table(digests, vectors, "`vectors`")
    arrays = {"sha256": np.array(digests, dtype="U64"), "vectors": vectors.numpy()}
    save_arrays(path, arrays, compressed=False)


def _check_vectors(vectors: Tensor, count: int, name: str) -> None:
    if (
        vectors.ndim != 2
        or not vectors.shape[1]
        or vectors.dtype not in (torch.float32, torch.float64)
        or len(vectors) != count
    ):
        raise ValueError(
            f"{name} must hold a float32 or float64 vector for each of {count} images, got "
            f"{str(vectors.dtype).removeprefix('torch.')} of shape {tuple(vectors.shape)}."
        )
    if not vectors.isfinite().all():
        raise ValueError(f"{name} holds a value that is not finite.")


def _digests(images: Float[Tensor, "n *shape"]) -> list[str]:
    """Images that are stored as float32 are found again as float64 too."""
    return [digest.hex() for digest in image_digests(images.float())]
