"""Detectors of prompts that a text-to-image model knows by heart."""

__all__ = ["DETECTORS", "Detector", "Reading"]

from spurion.prompts.detectors.kinds import Detector, Reading
from spurion.prompts.detectors.registry import DETECTORS
