"""What an examination found, before anything is said of it."""

__all__ = ["Found"]

from collections.abc import Sequence
from dataclasses import dataclass

from spurion.phases.rules import ThresholdInfo
from spurion.prompts.results import Comparison, Half, PromptReading, Rise
from spurion.prompts.table import Entry


@dataclass(frozen=True)
class Found:
    """What is looked at."""

    entries: Sequence[Entry]
    prompts: Sequence[PromptReading]
    comparisons: Sequence[Comparison]
    halves: Sequence[Half]
    rises: Sequence[Rise]
    thresholds: ThresholdInfo | None
    seeds: int
    notes: Sequence[str]

    def labeled(self, label: str) -> list[PromptReading]:
        """The prompts of a label."""
        return [one for one in self.prompts if one.label == label]
