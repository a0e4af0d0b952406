"""The sections of the page, in reading order: None where the run has no data for them."""

__all__ = ["PROMPT_SECTIONS"]

from collections.abc import Callable

import yaml

from spurion.prompts.page.pictures import prompt_cards
from spurion.prompts.page.stored import PromptsRun
from spurion.prompts.page.tables import (
    comparisons_table,
    detectors_table,
    every,
    geometry_table,
    halves_table,
    mitigation_table,
    rises_table,
    summaries_table,
)
from spurion.report.blocks import Cell, Drawing, Row, Section, Table, number_cell
from spurion.report.sections.record import flat
from spurion.statistics.numbers import decimals, size


def prompts(run: PromptsRun) -> Section | None:
    """Prompts with their images."""
    if not run.shown:
        return None
    text = (
        "Prompts that rank first over all detectors, and some of every kind beside them; the number is their "
        "place in the ranking. The darker a token, the more the model’s answer hangs on it. All values are "
        "in "
        "prompts.csv."
    )
    return Section(
        "prompts", "Prompts, by rank", (text,), part="prompts.html.j2", values={"prompts": prompt_cards(run)}
    )


def detectors(run: PromptsRun) -> Section:
    """How detectors tell memorized prompts."""
    text = (
        "Every detector looks at the same initial noises, with the prompt and without. What it reads, and "
        "who "
        "defined it, is in the documentation."
    )
    drawings = (
        Drawing(
            "roc",
            "Share of memorized prompts found against the share of generalized ones found, by every "
            "detector; left on a scale that spreads few false alarms.",
            "ROC curves of all detectors.",
        ),
        Drawing(
            "readings",
            "Readings of every detector by label, as ranks of all prompts from 0 to 1, oriented so that "
            "memorized lies higher. Lines are medians.",
            "Strips of readings by label, one panel for each detector.",
        ),
    )
    tables = every((detectors_table(run), comparisons_table(run), halves_table(run)))
    return Section("detectors", "What detectors tell", (text,), drawings, tables)


def samples(run: PromptsRun) -> Section | None:
    """What the samples are."""
    if not any(one.answered for one in run.result.prompts):
        return None
    text = (
        "Samples are held against the training images by the rule of measurement for images, and against the "
        "samples of other seeds of the same prompt. A prompt whose samples come again without being copies "
        "is "
        "where the paper’s spurious states would be."
    )
    return Section(
        "samples",
        "What the samples are",
        (text,),
        tables=every((summaries_table(run, "label"), summaries_table(run, "part"))),
    )


def copies(run: PromptsRun) -> Section | None:
    """How readings rise with the number of copies."""
    table = rises_table(run)
    if table is None:
        return None
    drawing = Drawing(
        "copies",
        "Median reading of every detector, as the share of all prompts below it, against the number of "
        "copies.",
        "Curves over the number of copies, one for each detector.",
    )
    text = "Copies in the training set are the cause that is known; a detector should rise with them."
    return Section("copies", "From one copy to many", (text,), (drawing,), (table,))


def curvature(run: PromptsRun) -> Section | None:
    """The spectra of the score Jacobian by label."""
    if run.result.geometry is None:
        return None
    text = (
        "The stiffness of a direction is 1 where the prompt leaves no freedom and 0 where the model’s images "
        "vary. Memorized prompts should be stiff in all directions, generalized ones soft in many."
    )
    drawing = Drawing(
        "spectra",
        "Left: stiffness of all directions, softest first, medians with 95% intervals. Right: singular "
        "values "
        "of the Jacobian of the score by Algorithm 3 of the paper, where there are few enough coordinates.",
        "Spectra of the Jacobian by label.",
    )
    notes = run.result.geometry.notes
    return Section("curvature", "Sharp and flat", (text, *notes), (drawing,), every((geometry_table(run),)))


def study(run: PromptsRun) -> Section | None:
    """The model of a study, and what mitigation does to it."""
    training = run.result.training
    if training is None:
        return None
    parts = ", ".join(f"{name} {size(count)}" for name, count in training.parameters.items())
    text = (
        f"The model was trained here, for {size(training.steps)} steps on {size(training.images)} pairs, so "
        f"that what it knows by heart is known. Parameters: {parts}."
    )
    more: tuple[str, ...] = ()
    if training.classifier is not None:
        more = (
            "Agreement is what a classifier of real images says of the samples; on held-out real images it "
            "is "
            f"right for {decimals(1)(100 * training.classifier)}%.",
        )
    tables = every((mitigation_table(run),))
    return Section("study", "A model whose truth is known", (text, *more), tables=tables)


def limits(run: PromptsRun) -> Section:
    """What cannot be concluded, and why."""
    claims = (claim for claim in run.result.claims if claim.severity == "limit")
    items = [{"title": claim.title, "sentence": claim.sentence} for claim in claims]
    return Section(
        "limits", "What cannot be concluded, and why", part="limits.html.j2", values={"items": items}
    )


def provenance(run: PromptsRun) -> Section:
    """Configuration, versions, times."""
    result = run.result
    rows: tuple[Row, ...] = tuple((Cell(key), Cell(entry)) for key, entry in flat(result.environment))
    rows += tuple(
        (Cell(f"seconds, {part}"), number_cell(time, decimals(1))) for part, time in result.seconds.items()
    )
    rows += ((Cell("model, SHA-256"), Cell(result.model_sha256)),)
    text = (
        "The same model, prompts and settings give the same numbers. This page was built from stored results "
        "only; no model was run for it."
    )
    config = yaml.safe_dump(result.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    values, table = {"config": config}, Table("Environment.", ("item", "value"), rows)
    texts = (text, *result.notes)
    return Section("provenance", "Provenance", texts, tables=(table,), part="config.html.j2", values=values)


PROMPT_SECTIONS: tuple[Callable[[PromptsRun], Section | None], ...] = (
    prompts,
    detectors,
    samples,
    copies,
    curvature,
    study,
    limits,
    provenance,
)
