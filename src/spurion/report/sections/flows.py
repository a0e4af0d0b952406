"""Where samples flow under the iterated denoiser, by class."""

__all__ = ["flow"]

from spurion.geometry.groups.flow import FlowRow, SampleFlow
from spurion.report.blocks import Cell, Drawing, Row, Section, Table, interval_cell, number_cell
from spurion.report.run import Run
from spurion.statistics.numbers import percent, size, value


def flow(run: Run) -> Section | None:
    """Recall of training images, and where the samples of each class end."""
    flows = run.flows
    if not flows:
        return None
    one = next(iter(flows.values()))
    text = (
        f"A state is denoised again and again at a noise of {value(one.noise, 2)} (σ/α), {size(one.steps)} "
        "times: the model as an associative memory. Two end points are the same within half of δm (half of "
        "the radius, where the distance is a square). A training image is recalled if it ends where it "
        "began. A sample flows into a training image, or into a state that is none: one that other samples "
        "share, which is a basin that is no memory, or one of its own. That is another question than whether "
        "it has duplicates, which makes the classes; the table crosses the two. It depends on noise and "
        "time: with more steps states that are still on their way may meet."
    )
    drawing = Drawing(
        "flow",
        "Shares against K, with 95% intervals: training images that are recalled, samples that flow into a "
        "training image, and samples that share a state that is none. Dotted line: the recall capacity.",
        "Three curves of shares over K.",
    )
    header = (
        "K", "class", "followed", "into a training image", "into a shared state", "into one of its own",
        "failed",
    )  # fmt: skip
    rows = [
        _row(k, name, row)
        for k, found in flows.items()
        for name, row in {**found.classes, "all": found.total}.items()
        if row.followed or row.failed
    ]
    counts = Table(
        "Recall, and the states that are no training image.",
        ("K", "images followed", "recalled", "flow into a training image", "basins", "chains"),
        tuple(_states(k, found) for k, found in flows.items()),
    )
    crossed = Table("Where the samples of each class flow.", header, tuple(rows))
    return Section("flow", "Where samples flow", (text,), (drawing,), (counts, crossed))


def _row(k: int, name: str, row: FlowRow) -> Row:
    ends = (row.training_image, row.shared_state, row.own_state)
    return (
        number_cell(k, size),
        Cell(name),
        number_cell(row.followed, size),
        *(_part(count, row.followed) for count in ends),
        number_cell(row.failed, size),
    )


def _part(count: int, of: int) -> Cell:
    return Cell(size(count), percent(count / of) if of else "", float(count))


def _states(k: int, found: SampleFlow) -> Row:
    return (
        number_cell(k, size),
        number_cell(found.images, size),
        interval_cell(found.recall),
        interval_cell(found.into_training),
        number_cell(found.basins, size),
        number_cell(found.chains, size),
    )
