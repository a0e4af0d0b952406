"""The sections of the circle's page, in reading order: None where the run has no data for them."""

__all__ = ["CIRCLE_SECTIONS"]

from collections.abc import Callable

import yaml

from spurion.circle.page.stored import CircleRun
from spurion.circle.page.tables import (
    clusters_table,
    laws_table,
    learned_table,
    minima_table,
    networks_table,
    phases_table,
)
from spurion.report.blocks import Cell, Drawing, Row, Section, Table, number_cell
from spurion.report.sections.record import flat
from spurion.statistics.numbers import decimals


def landscapes(run: CircleRun) -> Section | None:
    """Exact landscapes."""
    if not run.landscapes:
        return None
    text = (
        "Every pattern digs a well into the energy E = −(1/β) log Σ exp(−β |x − ξ|²). The inverse "
        "temperature β = 1/2t says how wide the wells are. Two that come closer than √(2/β) merge into one "
        "that is neither pattern: with the exact energy, this is what a spurious state is. With infinitely "
        "many patterns all wells merge into a ring."
    )
    caption = (
        "Exact energy, from its lowest value (light) up, with the direction of the score (arrows), patterns "
        "(dots, where there are at most 100) and every minimum by class. Rows are numbers of patterns, "
        "columns are temperatures, hot on the left. The green ring is the valley of infinitely many "
        "patterns; up to β = 1 it has shrunk to the center."
    )
    drawing = Drawing("landscapes", caption, "Maps of the energy with its minima, for several K and β.")
    return Section("landscapes", "Energy landscapes", (text,), (drawing,))


def minima(run: CircleRun) -> Section | None:
    """The table of all minima."""
    if not run.study.table:
        return None
    text = (
        "Exact minima of the study’s own sets at several times. N_eff is the effective number of patterns a "
        "minimum consists of; the barrier is the lowest pass to another minimum, in kT = 1/β; the "
        "curvatures are the eigenvalues of the Hessian, from 0, soft, to 2, as stiff as there is."
    )
    return Section("minima", "Every minimum", (text,), (), (minima_table(run),))


def phases(run: CircleRun) -> Section | None:
    """The three phases, from random sets."""
    if not run.study.phases:
        return None
    text = (
        "No network is trained here: sets of K patterns are drawn at random, every minimum is found and "
        "classified, and exact draws of the density descend to them. As K grows at fixed temperature, "
        "memories give way to spurious states, and these to the continuum: the paper’s transition from "
        "memorization to generalization, from the energy alone."
    )
    caption = (
        "Share of the density whose minimum is of each class, against the number K of patterns (log scale). "
        "Bands are 95% intervals for the chance of drawing the sets; where all sets agree they show what so "
        "many sets cannot exclude. The dotted line is the law for the memory capacity, K = 1.54 √β."
    )
    drawing = Drawing("phases", caption, "Curves over K: memory falls, spurious peaks, continuum rises.")
    return Section("phases", "Three phases", (text,), (drawing,), (phases_table(run),))


def numbers(run: CircleRun) -> Section | None:
    """How many minima there are, and the laws."""
    if not (run.study.branches or run.study.sweep or run.study.laws):
        return None
    text = (
        "As the temperature rises, minima merge two by two. The laws count patterns that have not merged. A "
        "memory asks for more, 90% of the weight, and so for a gap 1.17 times as wide: where β is large, "
        "memories hold half of the density at 1.31 √β rather than 1.54 √β."
    )
    caption = (
        "Left: number of minima of the study’s own sets; steps are merge points, located to seven digits, "
        "dots the temperatures at which all minima were searched. Right: means over random sets with 95% "
        "intervals, and the number at which many patterns saturate (dotted)."
    )
    drawing = Drawing("minima", caption, "Number of minima against the inverse temperature.")
    tables = (laws_table(run),) if run.study.laws else ()
    return Section("numbers", "How many minima, and the laws", (text,), (drawing,), tables)


def trained(run: CircleRun) -> Section | None:
    """What networks learned of it."""
    if not run.study.trained:
        return None
    time = run.study.config.trained.time
    text = (
        "Networks are trained on some of these sets by denoising score matching. Their energy at t = "
        f"{time:g} is −2t log p, with log p from the probability-flow equation, its exact divergence, and "
        "the true density at t = 1; no constant is fitted. Their minima are found by descending it. Where "
        "the exact minima are dents of a continuum, below 0.1 kT, a network puts its own elsewhere on the "
        "ring: read the column “off the ring” there, not the Hausdorff distance."
    )
    drawings = (
        Drawing(
            "trained",
            "The exact energy (top row, with its minima by class) and the energies that networks learned "
            "(with their own minima), on the paper’s grid.",
            "Maps of exact and learned energies.",
        ),
        Drawing(
            "agreement",
            "Learned against exact energy at every point of the grid, above the lowest exact value; on the "
            "line they are equal.",
            "Scatter of learned against exact energies.",
        ),
    )
    tables = [networks_table(run)]
    if run.trained:
        tables.append(learned_table(run))
    return Section("trained", "What networks learn of it", (text,), drawings, tuple(tables))


def samples(run: CircleRun) -> Section | None:
    """Samples of the networks and their clusters."""
    if not run.trained:
        return None
    text = (
        "Samples of the reverse process (Euler–Maruyama) and their clusters by Ward’s method, at the "
        "paper’s linkage distances. The energy of a cluster’s center is that of the comparison above; a "
        "center may lie between patterns without being a minimum."
    )
    drawing = Drawing(
        "samples",
        "Samples (gray), training patterns (dots, where there are at most 100) and cluster centers (rings, "
        "as large as their clusters).",
        "Samples on the plane with cluster centers.",
    )
    return Section("samples", "Samples and clusters", (text,), (drawing,), (clusters_table(run),))


def limits(run: CircleRun) -> Section:
    """What cannot be concluded, and why."""
    items = [
        {
            "title": "Anything about images",
            "sentence": "This is the paper’s toy model in two dimensions. It shows that the three phases "
            "follow from the energy; where they lie for images is for a study of images to say.",
        },
        {
            "title": "That a class is sharp",
            "sentence": "Memory means at least 90% of the weight, continuum a barrier below 0.1 kT. Other "
            "conventions move the borders, not the order of the phases.",
        },
        {
            "title": "That every minimum of a large set was found",
            "sentence": "Above 200 patterns minima are found from the patterns and from draws of the "
            "density; one with a basin much smaller than 1 in 500 can be missed.",
        },
    ]
    if run.study.trained:
        items.append(
            {
                "title": "What other trainings would learn",
                "sentence": "Each network was trained once, for minutes and not for days. Intervals cover "
                "the chance of sampling only. Train again with another seed.",
            }
        )
    return Section(
        "limits", "What cannot be concluded, and why", part="limits.html.j2", values={"items": items}
    )


def provenance(run: CircleRun) -> Section:
    """Configuration, seeds, versions, times."""
    study = run.study
    rows: tuple[Row, ...] = tuple((Cell(key), Cell(entry)) for key, entry in flat(study.environment))
    times = tuple(
        (Cell(f"processor time, {part} part"), number_cell(seconds, lambda s: f"{decimals(1)(s)} s"))
        for part, seconds in study.seconds.items()
    )
    text = (
        "The same configuration and seed give the same numbers. This page was built from stored results "
        "only; no model was run for it."
    )
    config = yaml.safe_dump(study.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    table = Table("Environment.", ("item", "value"), (*rows, *times))
    values = {"config": config}
    return Section("provenance", "Provenance", (text,), tables=(table,), part="config.html.j2", values=values)


CIRCLE_SECTIONS: tuple[Callable[[CircleRun], Section | None], ...] = (
    landscapes,
    minima,
    phases,
    numbers,
    trained,
    samples,
    limits,
    provenance,
)
