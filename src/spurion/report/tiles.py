"""The large numbers at the top of the page."""

__all__ = ["tiles"]

from spurion.audits.results import AuditResult
from spurion.phases.passage import Capacity
from spurion.report.blocks import Tile
from spurion.report.run import Run
from spurion.statistics.numbers import fraction, percent, size
from spurion.studies.checks.points import classified, peak_point, share
from spurion.studies.results import StudyResult

VERDICT_KIND = {"pass": "generalized", "fail": "memorized", "inconclusive": "spurious"}
"""The class whose color a verdict borrows."""


def tiles(run: Run) -> tuple[Tile, ...]:
    """The verdict, the copies and the leak of an audit; the capacities of a study."""
    if run.study is not None:
        return _of_study(run.study)
    audit = run.audits[0]
    return tuple(tile for tile in (_verdict(audit), _copies(audit), _leak(audit)) if tile is not None)


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


def _leak(audit: AuditResult) -> Tile | None:
    share = audit.null.share_closer_to_train if audit.null else None
    if share is None:
        return None
    notes = f"95% interval {fraction(share.low)} to {fraction(share.high)}", "0.5 if nothing leaks"
    return Tile(
        "spurious",
        "Closer to the training set",
        fraction(share.value),
        notes,
        "share of samples",
        share.value,
    )


def _of_study(study: StudyResult) -> tuple[Tile, ...]:
    points, capacities = classified(study), study.capacities
    if not points or capacities is None:
        return ()
    peak = peak_point(points)
    height = share(points[peak], "spurious")
    level = percent(1 - capacities.epsilon)
    return (
        _capacity_tile(
            "memorized", "Memorization ends", capacities.memorization, f"largest K with {level} memorized"
        ),
        Tile(
            "spurious",
            "Spurious peak",
            percent(height.value),
            (f"95% interval {percent(height.low)} to {percent(height.high)}",),
            f"of samples at K = {size(peak)}",
            height.value,
        ),
        _capacity_tile(
            "generalized",
            "Generalization starts",
            capacities.generalization,
            f"smallest K with {level} generalized",
        ),
    )


def _capacity_tile(kind: str, name: str, capacity: Capacity, meaning: str) -> Tile:
    if capacity.value is None:
        return Tile(kind, name, "not found", (capacity.note,) if capacity.note else (), meaning, None)
    parts = []
    if capacity.low is not None and capacity.high is not None:
        parts.append(f"95% interval {size(capacity.low)} to {size(capacity.high)}")
    low, high = capacity.bracket
    if low is not None and high is not None and low != high:
        parts.append(f"between the studied sizes {size(low)} and {size(high)}")
    return Tile(kind, name, f"K ≈ {size(capacity.value)}", tuple(parts), meaning, capacity.value)
