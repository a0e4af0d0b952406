"""All geometric measures, by name.

A new measure is one file with a final `Measure`, and one line here, or `MEASURES["mine"] = Mine()` outside of
the package; the contract test runs over this dictionary.
"""

__all__ = ["MEASURES", "changed"]

from collections import UserDict

from spurion.geometry.critical import CriticalNoise
from spurion.geometry.curvature_measures import (
    IntrinsicDimension,
    LogDeterminant,
    MeanCurvature,
    SoftDirections,
)
from spurion.geometry.energy import RelativeEnergy
from spurion.geometry.kinds import Measure
from spurion.geometry.log_density import FlowLogDensity
from spurion.geometry.recovery import RecoveryArea
from spurion.geometry.volume import LogVolume

_ALL: tuple[Measure, ...] = (
    CriticalNoise(),
    LogVolume(),
    RecoveryArea(),
    SoftDirections(),
    IntrinsicDimension(),
    MeanCurvature(),
    LogDeterminant(),
    RelativeEnergy(),
    FlowLogDensity(),
)


class _Measures(UserDict[str, Measure]):
    """Measures by their own names."""

    def __setitem__(self, name: str, measure: Measure) -> None:
        if measure.name != name:
            raise ValueError(f"`MEASURES[{name!r}]` must hold a measure of that name, got {measure.name!r}.")
        super().__setitem__(name, measure)


MEASURES = _Measures({measure.name: measure for measure in _ALL})
"""The name a user types, and the measure with its default settings; one of another name is refused."""


def changed() -> bool:
    """Whether measures were registered or replaced in this process, of which worker processes do not know."""
    return tuple(MEASURES.values()) != _ALL
