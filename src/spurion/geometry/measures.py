"""All geometric measures, by name.

A new measure is one file with a final `Measure`, and one line here; the contract test runs over this
dictionary.
"""

__all__ = ["MEASURES"]

from spurion.geometry.critical import CriticalNoise
from spurion.geometry.energy import RelativeEnergy
from spurion.geometry.measure import Measure
from spurion.geometry.recovery import RecoveryArea
from spurion.geometry.volume import LogVolume

MEASURES: dict[str, Measure] = {
    measure.name: measure for measure in (CriticalNoise(), LogVolume(), RecoveryArea(), RelativeEnergy())
}
"""The name a user types, and the measure with its default settings."""
