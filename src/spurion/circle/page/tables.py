"""Tables of the circle's page."""

__all__ = [
    "clusters_table",
    "laws_table",
    "learned_table",
    "minima_table",
    "networks_table",
    "phases_table",
]

from spurion.circle.page.answer import compared
from spurion.circle.page.stored import CircleRun
from spurion.circle.page.words import angle, barrier_text, beta_text, time_text
from spurion.circle.results import State, TrainedResult
from spurion.report.blocks import Cell, Row, Table, interval_cell, number_cell
from spurion.statistics.intervals import Interval
from spurion.statistics.numbers import absent, decimals, size, value

LAWS = {
    "capacity": "memories hold half of the density at K =",
    "saturation": "number of minima of many patterns",
    "ripple": "relative ripple of the density along the ring, K = 1,000",
}
FORMULAS = {"capacity": "1.54 √β", "saturation": "1.7 √β", "ripple": "(√(2πβ) / K)^½"}


def minima_table(run: CircleRun) -> Table:
    """One row for each minimum of each tabulated state."""
    rows = [row for state in run.study.table for row in _state_rows(state)]
    header = ("K", "t", "β", "class", "angle", "radius", "energy", "N_eff", "barrier, kT", "curvatures")
    return Table("All minima of the study’s own sets, the lowest of each first.", header, tuple(rows))


def _state_rows(state: State) -> list[Row]:
    return [
        (
            number_cell(state.count, size),
            Cell(time_text(state.beta), value=1 / (2 * state.beta)),
            Cell(beta_text(state.beta), value=state.beta),
            Cell(minimum.kind),
            number_cell(angle(minimum.x, minimum.y), lambda d: f"{d:.1f}°"),
            number_cell((minimum.x**2 + minimum.y**2) ** 0.5, decimals(4)),
            number_cell(minimum.energy, decimals(4)),
            number_cell(minimum.effective_number, decimals(2)),
            number_cell(minimum.barrier, barrier_text),
            Cell(" / ".join(value(c) for c in minimum.curvature)),
        )
        for minimum in state.minima
    ]


def phases_table(run: CircleRun) -> Table:
    """One row for each K and temperature of the three phases."""
    rows: list[Row] = [
        (
            number_cell(point.count, size),
            Cell(beta_text(point.beta), value=point.beta),
            interval_cell(point.memory),
            interval_cell(point.spurious),
            interval_cell(point.continuum),
            _span(point.minima),
            _span(point.memories),
        )
        for point in run.study.phases
    ]
    header = ("K", "β", "memory", "spurious", "continuum", "minima", "of them memories")
    caption = (
        "Means over random sets: share of the density by class, and numbers of minima. Small numbers are "
        "95% intervals."
    )
    return Table(caption, header, tuple(rows))


def laws_table(run: CircleRun) -> Table:
    """Laws against what was found."""
    rows: list[Row] = []
    for law in run.study.laws:
        found = law.found
        ratio = None if found is None else found.value / law.predicted
        rows.append(
            (
                Cell(LAWS[law.name]),
                Cell(FORMULAS[law.name]),
                Cell(beta_text(law.beta), value=law.beta),
                number_cell(law.predicted, value),
                _span(found) if found else Cell(absent, "not reached"),
                number_cell(ratio, decimals(2)),
            )
        )
    header = ("law", "formula", "β", "predicted", "found", "found / predicted")
    return Table("Laws of random patterns on the circle.", header, tuple(rows))


def networks_table(run: CircleRun) -> Table:
    """One row for each network."""
    header = (
        "K",
        "network",
        "parameters",
        "steps",
        "minima: exact",
        "learned",
        "Hausdorff distance",
        "correlation",
        "RMS, kT",
        "RMS where likely, kT",
        "correlation with the ring",
        "off the ring",
        "samples near a pattern",
        "near the circle",
    )
    rows = tuple(_network_row(result, len(header)) for result in run.study.trained)
    caption = (
        "Trained networks against the exact energy of their own patterns, and against that of infinitely "
        "many (the ring). “Where likely” weights the grid by the exact density. “Near” is within 0.1."
    )
    return Table(caption, header, rows)


def _network_row(result: TrainedResult, columns: int) -> Row:
    head = number_cell(result.count, size), Cell(result.network)
    if result.status == "failed":
        return *head, Cell(f"failed: {result.message or 'no reason given'}", columns=columns - 2)
    patterns, ring = compared(result), compared(result, "ring")
    return (
        *head,
        number_cell(result.parameters, size),
        number_cell(result.iterations, size),
        number_cell(len(result.exact.minima) if result.exact else None, size),
        number_cell(len(result.minima), size),
        number_cell(patterns.hausdorff if patterns else None, decimals(4)),
        number_cell(patterns.correlation if patterns else None, decimals(4)),
        number_cell(patterns.rms if patterns else None, decimals(3)),
        number_cell(patterns.rms_weighted if patterns else None, decimals(3)),
        number_cell(ring.correlation if ring else None, decimals(4)),
        number_cell(ring.hausdorff if ring else None, decimals(4)),
        interval_cell(result.near_pattern),
        interval_cell(result.near_ring),
    )


def learned_table(run: CircleRun) -> Table:
    """Minima of the learned energies."""
    rows: list[Row] = [
        (
            number_cell(grids.result.count, size),
            Cell(grids.result.network),
            number_cell(angle(m.x, m.y), lambda d: f"{d:.1f}°"),
            number_cell((m.x**2 + m.y**2) ** 0.5, decimals(4)),
            number_cell(m.energy, decimals(4)),
            Cell(" / ".join(value(c) for c in m.curvature)),
            number_cell(m.to_pattern, decimals(4)),
            number_cell(m.to_exact, decimals(4)),
        )
        for grids in run.trained
        for m in grids.result.minima
    ]
    header = (
        "K",
        "network",
        "angle",
        "radius",
        "energy",
        "curvatures",
        "to a pattern",
        "to an exact minimum",
    )
    caption = "Minima of the learned energies, with distances to the nearest pattern and exact minimum."
    return Table(caption, header, tuple(rows))


def clusters_table(run: CircleRun) -> Table:
    """Clusters of the samples."""
    rows: list[Row] = [
        (
            number_cell(grids.result.count, size),
            Cell(grids.result.network),
            number_cell(cluster.size, size),
            number_cell(angle(cluster.x, cluster.y), lambda d: f"{d:.1f}°"),
            number_cell((cluster.x**2 + cluster.y**2) ** 0.5, decimals(3)),
            number_cell(cluster.energy, decimals(3)),
            number_cell(cluster.to_pattern, decimals(3)),
        )
        for grids in run.trained
        for cluster in grids.result.clusters
    ]
    header = ("K", "network", "samples", "angle", "radius", "energy", "to a pattern")
    return Table(
        "Clusters of the samples, the largest first; energies of their centers.", header, tuple(rows)
    )


def _span(interval: Interval) -> Cell:
    return Cell(value(interval.value), f"{value(interval.low)}–{value(interval.high)}", interval.value)
