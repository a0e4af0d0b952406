"""What every detector of memorized prompts is.

Everything that is said of a detector stands on its class: one line in `DETECTORS` brings it wherever prompts
are judged. All read noises and scores by `Denoiser.epsilon` and `Denoiser.score`, so that networks which
predict the noise, the sample or the velocity are read alike.
"""

__all__ = ["Detector", "Reading", "lengths"]

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, final, get_args

from jaxtyping import Float, Float64
from torch import Tensor

from spurion.diffusion.denoisers.network import Prediction
from spurion.prompts.subject import Subject

NEEDS = frozenset({"text", "attention", "path"})
"""What a detector may need beside the first step."""


class Reading(NamedTuple):
    """What a detector says of one prompt.

    Attributes:
        values: One value a seed, float64, NaN where there is none to say, with shape (m,).
        evaluations: The evaluations a seed that it needs by itself (`spurion.prompts.subject`), beside those
            shared by all prompts; less are made where another detector asked before for what it needs.
        detail: More numbers, by name.
        note: What to know of how it was computed; empty if nothing.
    """

    values: Float64[Tensor, " m"]
    evaluations: float
    detail: dict[str, list[float]]
    note: str = ""


class Detector(ABC):
    """A detector: one file, one line in `DETECTORS`.

    Attributes:
        name: The name a user types, and its column title.
        unit: The unit of its values; "1" for a pure number.
        source: Who defined it, and where.
        higher: Whether memorized prompts are expected to read higher (true) or lower (false).
        published: What the literature reports of it; empty if nothing.
        needs: What it needs beside the first step, of "text", "attention" and "path".
        predictions: What a network may predict for it to be read: all that there is.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    source: ClassVar[str]
    higher: ClassVar[bool]
    published: ClassVar[str] = ""
    needs: ClassVar[frozenset[str]] = frozenset()
    predictions: ClassVar[tuple[str, ...]] = get_args(Prediction)

    @final
    def __call__(self, subject: Subject) -> Reading:
        """Read a prompt.

        Arguments:
            subject: The prompt, its model and its seeds.

        Raises:
            ValueError: If the subject lacks what the detector needs.
        """
        if missing := sorted(self.needs - subject.has):
            raise ValueError(
                f"The detector {self.name} needs the {' and the '.join(missing)} of the prompt, which this "
                "model does not give; leave the detector out."
            )
        return self.read(subject)

    @abstractmethod
    def read(self, subject: Subject) -> Reading:
        """Read a prompt that has all that is needed."""


def lengths(items: Float[Tensor, "m *shape"]) -> Float64[Tensor, " m"]:
    """The Euclidean length of every item, float64, on the CPU."""
    length: Float64[Tensor, " m"] = items.flatten(1).cpu().double().norm(dim=1)
    return length
