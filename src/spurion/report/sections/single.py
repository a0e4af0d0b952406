"""The sections of a single audit: its copies, its samples from the nearest to the farthest, its metrics."""

__all__ = ["distances", "exposure", "metrics", "null_readings", "ranked_samples", "rule_table"]


from spurion.audits.claims import of_kind
from spurion.audits.results import AuditResult
from spurion.phases.classification import CLASSES
from spurion.report.blocks import Cell, Drawing, Row, Section, Table, interval_cell, number_cell
from spurion.report.run import Run
from spurion.report.trios import copied, ranked
from spurion.report.words import counted_among
from spurion.statistics.numbers import absent, p_value, size, value

MOST_ROWS = 50
"""Copied training images in the table."""


def exposure(run: Run) -> Section | None:
    """Which training images came out, and how often."""
    if run.single is None:
        return None
    audit = run.single.audit
    if audit.fractions is None and not audit.exposure:
        return None
    repeated = sum(map(len, audit.train_duplicates))
    paragraphs = [
        "Which training images came out, and how often. A sample counts for its nearest training image if "
        "it is called memorized; equal training images count as one, under the lowest of their numbers.",
        f"{size(repeated)} training images have an equal one elsewhere in the training set, in "
        f"{size(len(audit.train_duplicates))} groups; a model sees such images more often."
        if repeated
        else "No two training images are equal.",
    ]
    if not audit.exposure:
        return Section("exposure", "Copied training images", (*paragraphs, "No sample is called memorized."))
    paragraphs += [c.sentence for c in of_kind(audit.claims, "false_alarms", "chance", "not_separated")]
    if twins := sum(image.like is not None for image in audit.exposure):
        paragraphs.append(
            f"{size(twins)} of these images lie within δm of a more copied one, alone or in a chain, and may "
            "be the same picture stored again: its copies are shared out among them."
        )
    if len(audit.exposure) > MOST_ROWS:
        paragraphs.append(
            f"The table has the {MOST_ROWS} most copied of {size(len(audit.exposure))} images; audit.json "
            "has all."
        )
    return Section(
        "exposure",
        "Copied training images",
        tuple(paragraphs),
        tables=(_copies(audit),),
        part="audit_gallery.html.j2",
        values={
            "rows": copied(run.single),
            "about": "The most copied, each beside the nearest of its copies",
        },
    )


def _copies(audit: AuditResult) -> Table:
    """The most copied training images."""
    named = any(image.name for image in audit.exposure)
    alike = any(image.like is not None for image in audit.exposure)
    rows = tuple(
        (
            Cell(str(image.train_index)),
            *((Cell(image.name or absent),) if named else ()),
            number_cell(image.count, size),
            Cell(f"{100 * image.count / audit.inputs.samples.count:.2g}%"),
            number_cell(image.duplicates, size),
            *((Cell(absent if image.like is None else str(image.like)),) if alike else ()),
        )
        for image in audit.exposure[:MOST_ROWS]
    )
    name = ("name",) if named else ()
    header = ("number", *name, "copies", "share of samples", "duplicates in the training set")
    header = (*header, "like number") if alike else header
    return Table("Training images by the number of their copies.", header, rows)


def ranked_samples(run: Run) -> Section | None:
    """The stored samples from the nearest to the farthest."""
    items = ranked(run.single) if run.single else []
    if not items:
        return None
    text = (
        "Judge with your own eyes. Each group is a sample, its nearest training image and its nearest other "
        "sample, the nearest to the training set first; the last ones are the farthest. Lines mark where a "
        "threshold falls, and where held-out images, which the model cannot have copied, begin to come."
    )
    return Section(
        "gallery",
        "Samples beside their nearest training images",
        (text,),
        part="audit_gallery.html.j2",
        values={"rows": items, "about": "From the nearest to the farthest"},
    )


def distances(run: Run) -> Section | None:
    """The two distances behind every class."""
    if run.single is None:
        return None
    text = (
        "How far samples are from the nearest training image (olive) and from the nearest other sample "
        "(gray). Copies pile up far to the left of everything else; the histograms describe that, and no gap "
        "in them decides anything."
    )
    held_out = (
        " Held-out images (dotted) show how near a new image comes by chance: where the olive curve runs "
        "above theirs, samples are nearer to the training set than new images are."
    )
    caption = (
        "Left: distances of samples and of held-out images, equally wide bins of log distance; distances of "
        "exactly 0 stand in the leftmost. Right: the share of images at most so far. Solid line: δm. Dashed "
        "line: δs."
    )
    alternative = "Histograms and cumulative shares of log distance, with the thresholds."
    paragraph = text + (held_out if run.single.audit.histograms.holdout is not None else "")
    drawing = Drawing("distances", caption, alternative)
    return Section("distances", "Distances and thresholds", (paragraph,), (drawing,))


def rule_table(run: Run) -> Section | None:
    """What other rules say."""
    if run.single is None:
        return None
    audit = run.single.audit
    rules = (
        ("main rule", audit.fractions),
        ("ratio to the second nearest", audit.ratio_fractions),
        ("held-out quantile", audit.holdout_fractions),
    )
    rows = tuple(
        (Cell(name), *(interval_cell(getattr(fractions, label, None)) for label in CLASSES))
        for name, fractions in rules
        if fractions is not None
    )
    if not rows:
        return None
    text = (
        "No threshold is sacred. The ratio rule calls a sample memorized when its nearest training image is "
        "much closer than the nearest other one that is no duplicate of it; the held-out rule when hardly "
        "any held-out image comes as near."
    )
    table = Table(
        f"Shares of samples under each rule, with 95% intervals.{_met(audit)}",
        ("rule", *(audit.class_names[name] for name in CLASSES)),
        rows,
    )
    return Section("rules", "The same samples under other rules", (text,), tables=(table,))


def _met(audit: AuditResult) -> str:
    met = counted_among([audit])
    return f" Under the main rule, repetitions are counted {met}." if met else ""


def null_readings(run: Run) -> Section | None:
    """Three readings against held-out images."""
    null = run.single.audit.null if run.single else None
    if null is None:
        return None
    share = null.share_closer_to_train
    rows = (
        (Cell("closer to training set"), interval_cell(share), Cell("0.5"), _p(null.share_p_value)),
        (Cell("C_T"), number_cell(null.ct, value), Cell("0"), _p(null.ct_p_value)),
        (
            Cell("AuthPct"),
            number_cell(null.authpct, value),
            Cell(f"{value(null.authpct_holdout)} among held-out images"),
            _p(null.authpct_p_value),
        ),
    )
    text = (
        "Three readings against held-out images, each of which a model that copies nothing passes: the "
        "share of samples closer to the training set than to an equally large held-out set "
        f"({size(null.set_size)} images a side), Meehan’s C_T (far below 0 for copies) and the percentage of "
        "authentic samples. A small p-value says that samples of an honest model would seldom come so near."
    )
    table = Table("The held-out null.", ("reading", "value", "if nothing leaks", "one-sided p"), rows)
    return Section("null", "Closer to the training set than chance?", (text, *null.notes), tables=(table,))


def _p(number: float | None) -> Cell:
    return number_cell(number, lambda p: absent if p is None else p_value(p))


def metrics(run: Run) -> Section | None:
    """The samples as other tools would read them."""
    if run.single is None or not run.single.audit.metrics:
        return None
    audit = run.single.audit
    rows: tuple[Row, ...] = tuple(
        (
            Cell(metric.name),
            interval_cell(metric.interval) if metric.interval else number_cell(metric.value, value),
            Cell(metric.source),
            Cell(metric.note),
        )
        for metric in audit.metrics
    )
    text = (
        f"The same samples as other tools would read them, on the vectors of the {audit.distance.name} "
        "distance."
    )
    table = Table(
        "Metrics of copying, with their sources.", ("metric", "value", "source", "how to read it"), rows
    )
    return Section("metrics", "What other metrics say", (text,), tables=(table,))
