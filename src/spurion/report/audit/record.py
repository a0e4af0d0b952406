"""How an audit was made: geometry of the model, methods, and where everything came from."""

__all__ = ["geometry", "methods", "provenance"]

from spurion.geometry.groups.results import NEEDED, GroupReading
from spurion.report.audit.run import AuditRun
from spurion.report.blocks import Cell, Section, Table, number_cell
from spurion.report.geometry.tables import needed
from spurion.report.numbers import absent, listed, size, value
from spurion.report.sections.record import flat

RULES = {
    "fixed": "The thresholds are numbers that were given.",
    "valley": "The threshold δm is the valley between the two modes of the distances of samples to their "
    "nearest training images; δs is that of the distances between samples, where there is one.",
    "holdout": "The threshold δm is the largest distance to the training set that at most a share α of "
    "held-out images do not exceed, so that a new image is called memorized with probability at most α; δs "
    "follows in the same way from distances among held-out images.",
}


def geometry(run: AuditRun) -> Section | None:
    """Medians of every measure at each group of points."""
    found = run.audit.geometry
    if found is None:
        return None
    groups = [name for name, group in found.groups.items() if group.measured]
    rows = tuple(
        (
            Cell(f"{measure.name} ({measure.unit})" if measure.unit else measure.name),
            *(_reading(measure.groups.get(name)) for name in groups),
        )
        for measure in found.measures
    )
    text = (
        "Around each point the model has a landscape: how much noise the point survives, how many "
        "directions are "
        f"soft, how deep it lies. Curvature is read at the noise {value(found.noise)}; a point counts as "
        "recovered "
        f"within {value(found.tolerance)}, the threshold of duplicates."
    )
    caption = "Medians with 95% intervals over points of each group; the number of points in brackets."
    few = [
        f"{name} ({size(group.available)})"
        for name, group in found.groups.items()
        if group.available and not group.measured
    ]
    if few:
        caption += f" Too few to be measured: {listed(few)}."
    header = ("measure", *(f"{name} ({size(found.groups[name].measured)})" for name in groups))
    table = Table(caption, header, rows)
    return Section("geometry", "The landscape around the samples", (text, *found.notes), tables=(table,))


def _reading(found: GroupReading | None) -> Cell:
    if found is None or found.value is None:
        return Cell(absent, needed(found.n, NEEDED) if found else "")
    low, high = (_text(end) for end in (found.low, found.high))
    return Cell(_text(found.value), f"{low} to {high}")


def _text(number: float | str | None) -> str:
    return number if isinstance(number, str) else value(number)


def methods(run: AuditRun) -> Section:
    """What was computed, in words."""
    audit = run.audit
    rule = audit.thresholds.rule if audit.thresholds else "none"
    paragraphs = (
        "Nearest neighbors are exact: whatever proposes them, distances are computed by subtraction in "
        "double "
        "precision, so that equal images are at distance 0. " + RULES.get(rule.partition(":")[0], ""),
        "A sample is memorized if a training image is within δm, else spurious if another sample is within "
        "δs, else "
        "generalized. Intervals are 95%: the bootstrap where a class has many samples and lacks many, else "
        "exact "
        "binomial ones, so that 0 of n has an upper end near 3/n. A verdict is decided on the interval, "
        "never on the "
        "bare share, and fewer than 30 samples never pass.",
        "Duplicates in the training set are found first: exposure counts them as one image, and rules that "
        "compare "
        "the nearest with the second nearest image look for the second outside of them.",
        *audit.notes,
    )
    return Section("methods", "Methods", paragraphs)


def provenance(run: AuditRun) -> Section:
    """Inputs with their hashes, seed and versions."""
    audit = run.audit
    sets = [("training images", audit.inputs.train), ("samples", audit.inputs.samples)]
    if audit.inputs.holdout is not None:
        sets.append(("held-out images", audit.inputs.holdout))
    rows = tuple(
        (
            Cell(role),
            Cell(source.name),
            number_cell(source.count, size),
            Cell(" × ".join(map(str, source.shape))),
            Cell(source.sha256),
        )
        for role, source in sets
    )
    model = audit.model.model_dump(mode="json") if audit.model else {}
    settings = {
        "seed of the audit": audit.seed,
        "distance": audit.distance.name,
        "weights": audit.distance.weights,
    }
    drawn = {f"model: {key}": entry for key, entry in flat(model)}
    entries = tuple(
        (Cell(key), Cell(entry)) for key, entry in flat({**settings, **drawn, **audit.environment})
    )
    header = ("set", "name", "images", "shape", "hash")
    tables = (
        Table("Inputs. The hash is the SHA-256 of the images’ content.", header, rows),
        Table("Settings and environment.", ("item", "value"), entries),
    )
    text = (
        "This page was built from stored results only. The same inputs, settings and seed give the same "
        "numbers."
    )
    redacted = (
        "Names and images were left out on request; the hashes tell whether two audits saw the same sets."
    )
    paragraphs = (text, redacted) if audit.redacted else (text,)
    return Section("provenance", "Provenance", paragraphs, tables=tables)
