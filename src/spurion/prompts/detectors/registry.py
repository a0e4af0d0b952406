"""All detectors, by name.

A new detector is one file with a final `Detector`, and one line here, or `DETECTORS["mine"] = Mine()` outside
of the package; the contract test runs over this dictionary.
"""

__all__ = ["DETECTORS", "changed"]

from collections import UserDict

from spurion.prompts.detectors.anisotropy import Anisotropy, AnisotropyFirst
from spurion.prompts.detectors.bright_ending import BrightEnding
from spurion.prompts.detectors.curvature import Curvature
from spurion.prompts.detectors.intrinsic_dimension import IntrinsicDimension
from spurion.prompts.detectors.kinds import NEEDS, Detector
from spurion.prompts.detectors.noise_difference import NoiseDifference, NoiseDifferenceAll
from spurion.prompts.detectors.one_step import OneStep
from spurion.prompts.detectors.seed_diversity import SeedDiversity
from spurion.prompts.detectors.sharpness import Sharpness
from spurion.prompts.detectors.token_attribution import TokenAttribution

_ALL: tuple[Detector, ...] = (
    NoiseDifference(),
    NoiseDifferenceAll(),
    OneStep(),
    Anisotropy(),
    AnisotropyFirst(),
    Sharpness(),
    TokenAttribution(),
    BrightEnding(),
    SeedDiversity(),
    Curvature(),
    IntrinsicDimension(),
)


class _Detectors(UserDict[str, Detector]):
    """Detectors by their own names."""

    def __setitem__(self, name: str, detector: Detector) -> None:
        if detector.name != name:
            raise ValueError(
                f"`DETECTORS[{name!r}]` must hold a detector of that name, got {detector.name!r}."
            )
        if unknown := sorted(detector.needs - NEEDS):
            raise ValueError(
                f"The detector {name} may need {', '.join(sorted(NEEDS))}, got {', '.join(unknown)}."
            )
        super().__setitem__(name, detector)


DETECTORS = _Detectors({detector.name: detector for detector in _ALL})
"""The name a user types, and the detector with its default settings; one of another name is refused."""


def changed() -> bool:
    """Whether detectors were registered or replaced in this process, of which others do not know."""
    return tuple(DETECTORS.values()) != _ALL
