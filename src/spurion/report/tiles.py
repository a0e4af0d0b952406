"""The large numbers at the top of the page."""

__all__ = ["tiles"]

from collections.abc import Mapping
from dataclasses import replace

from spurion.audits.results import NO_CLOSER, AuditResult
from spurion.phases.passage import Capacity
from spurion.report.blocks import Tile
from spurion.report.run import Run
from spurion.report.words import counted_among
from spurion.statistics.numbers import fraction, percent, size
from spurion.studies.checks.points import classified, in_sizes, peak_point, share
from spurion.studies.results import StudyResult

VERDICT_KIND = {"pass": "generalized", "fail": "memorized", "inconclusive": "spurious"}
"""The class whose color a verdict borrows."""


def tiles(run: Run) -> tuple[Tile, ...]:
    """The verdict, the copies and the leak of an audit; the capacities of a study."""
    if run.study is not None:
        return _of_study(run.study)
    audit = run.audits[0]
    return tuple(
        tile for tile in (_verdict(audit), _copies(audit), _beyond(audit), _leak(audit)) if tile is not None
    )


def _verdict(audit: AuditResult) -> Tile | None:
    verdict = audit.verdict
    if verdict is None:
        return None
    return Tile(
        VERDICT_KIND[verdict.outcome], "Verdict", verdict.outcome, (), f"fails if {verdict.expression}", None
    )


def _copies(audit: AuditResult) -> Tile | None:
    if audit.fractions is None or audit.counts is None:
        return None
    share = audit.fractions.memorized
    notes = [f"95% interval {percent(share.low)} to {percent(share.high)}"]
    if audit.only_near:
        notes.append("perhaps no copies: see the answer")
    elif audit.exposure:
        notes.append(f"of {size(audit.pictures)} different training images")
    if audit.exact_copies:
        notes.append(f"{size(len(audit.exact_copies))} equal a training image")
    if any(c.severity in ("doubt", "warning") and "memorized" in c.touches for c in audit.claims):
        notes.append("in doubt: see the answer")
    return Tile(
        "memorized",
        "As near as copies" if audit.only_near else "Copies of training images",
        percent(share.value),
        tuple(notes),
        f"{size(audit.counts[0])} of {size(audit.inputs.samples.count)} samples",
        share.value,
    )


def _beyond(audit: AuditResult) -> Tile | None:
    """The excess risk, with the number of listed copies."""
    found = audit.excess
    if found is None:
        return None
    notes = [f"95% interval {_percent(found.low)} to {_percent(found.high)}"]
    if audit.listed is not None:
        notes.append(
            f"{size(len(audit.listed))} samples listed as copies, at most 5% of them wrongly on average"
        )
    return Tile(
        "memorized",
        "Beyond honest images",
        _percent(found.value),
        tuple(notes),
        "excess risk of the samples",
        found.value,
    )


def _percent(share: float) -> str:
    """A share in percent that may be negative."""
    return percent(share) if share >= 0 else f"\N{MINUS SIGN}{percent(-share)}"


def _leak(audit: AuditResult) -> Tile | None:
    share = audit.null.share_closer_to_train if audit.null else None
    if share is None:
        return None
    notes = [f"95% interval {fraction(share.low)} to {fraction(share.high)}", "0.5 if nothing leaks"]
    if audit.still_leaking:
        notes.append("still leaking")
    return Tile(
        "spurious",
        "Closer to the training set",
        fraction(share.value),
        tuple(notes),
        "share of samples",
        share.value,
    )


def _of_study(study: StudyResult) -> tuple[Tile, ...]:
    points, capacities = classified(study), study.capacities
    if not points or capacities is None:
        return ()
    peak = peak_point(points)
    height, met = share(points[peak], "spurious"), counted_among([points[peak]])
    level = percent(1 - capacities.epsilon)
    return (
        _capacity_tile(
            "memorized", "Memorization ends", capacities.memorization, f"largest K with {level} memorized"
        ),
        _capacity_tile(
            "spurious",
            "Spurious peak",
            capacities.spurious,
            f"{percent(height.value)} of samples ({percent(height.low)} to {percent(height.high)}) at K = "
            f"{size(peak)}{f', {met}' if met else ''}",
        ),
        _generalization(points, capacities.generalization, level),
    )


def _generalization(points: Mapping[int, AuditResult], capacity: Capacity, level: str) -> Tile:
    """Where generalization starts; or, where samples still leak, where they are no closer than chance."""
    leaking = [k for k, audit in points.items() if audit.still_leaking and k >= (capacity.value or 0)]
    if not leaking:
        return _capacity_tile(
            "generalized", "Generalization starts", capacity, f"smallest K with {level} generalized"
        )
    tile = _capacity_tile(
        "generalized", "No closer than chance", capacity, f"smallest K with {level} {NO_CLOSER}"
    )
    return replace(tile, notes=(*tile.notes, f"still leaking at {in_sizes(leaking)}"))


def _capacity_tile(kind: str, name: str, capacity: Capacity, meaning: str) -> Tile:
    if capacity.value is None:
        return Tile(kind, name, "not found", (capacity.note,) if capacity.note else (), meaning, None)
    parts = []
    if capacity.low is not None or capacity.high is not None:
        low, high = ("open" if end is None else size(end) for end in (capacity.low, capacity.high))
        parts.append(f"95% interval {low} to {high}")
    left, right = capacity.bracket
    if left is not None and right is not None and left != right:
        parts.append(f"between the studied sizes {size(left)} and {size(right)}")
    return Tile(kind, name, f"K ≈ {size(capacity.value)}", tuple(parts), meaning, capacity.value)
