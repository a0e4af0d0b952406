"""The figures of a report: each a function of a run and a width, None where the run has no data for it.

A new figure is one file and one line in `FIGURES`.
"""

__all__ = ["FIGURES", "Picture", "Plate", "draw_figures"]

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure

from spurion.core.files import atomic_write
from spurion.report.figures.basins import draw_basins
from spurion.report.figures.canvas import Width, figure_style
from spurion.report.figures.capacities import draw_capacities
from spurion.report.figures.census import draw_census
from spurion.report.figures.curvature import draw_directions, draw_scan, draw_spectra
from spurion.report.figures.distances import draw_distances
from spurion.report.figures.energies import draw_energies
from spurion.report.figures.examples import draw_examples
from spurion.report.figures.flow import draw_flow
from spurion.report.figures.fractions import draw_rules, draw_transition
from spurion.report.figures.histograms import draw_histograms
from spurion.report.figures.leak import draw_leak
from spurion.report.figures.null import draw_controls, draw_null
from spurion.report.figures.others import draw_others
from spurion.report.figures.rarefaction import draw_rarefaction
from spurion.report.figures.sensitivity import draw_sensitivity
from spurion.report.figures.training import draw_training
from spurion.report.run import Run

FIGURES: dict[str, Callable[[Run, Width], Figure | None]] = {
    "transition": draw_transition,
    "examples": draw_examples,
    "distances": draw_distances,
    "histograms": draw_histograms,
    "capacities": draw_capacities,
    "rules": draw_rules,
    "sensitivity": draw_sensitivity,
    "rarefaction": draw_rarefaction,
    "census": draw_census,
    "leak": draw_leak,
    "null": draw_null,
    "controls": draw_controls,
    "flow": draw_flow,
    "basins": draw_basins,
    "noise_scan": draw_scan,
    "spectra": draw_spectra,
    "directions": draw_directions,
    "energies": draw_energies,
    "others": draw_others,
    "training": draw_training,
}

RunT = TypeVar("RunT")

PIXELS_PER_INCH = 96
"""CSS pixels in an inch."""

UNDATED = {"pdf": {"CreationDate": None, "ModDate": None}, "svg": {"Date": None}, "png": {"Software": None}}
"""Metadata left out, so that the same run gives the same bytes."""


@dataclass(frozen=True)
class Picture:
    """An SVG as a data URI, and its size in CSS pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Plate:
    """A figure for the page, in both widths."""

    wide: Picture
    narrow: Picture


def draw_figures(
    run: RunT, folder: Path, figures: Mapping[str, Callable[[RunT, Width], Figure | None]]
) -> dict[str, Plate]:
    """Draw every figure the run has data for.

    Arguments:
        run: The run.
        folder: Gets `NAME.png` (200 dpi) and `NAME.pdf` of the wide form. A file left there by an earlier
            report under the name of a figure that has no data now is removed.
        figures: How to draw each, by name.

    Returns:
        The figures by name, in the order of `figures`.
    """
    plates = {}
    for name, draw in figures.items():
        with figure_style():
            wide, narrow = draw(run, "wide"), draw(run, "narrow")
            paths = folder / f"{name}.png", folder / f"{name}.pdf"
            if wide is None or narrow is None:
                for path in paths:
                    path.unlink(missing_ok=True)
                continue
            for figure in (wide, narrow):
                _settle(figure)
            for path in paths:
                with atomic_write(path) as temporary:
                    temporary.write_bytes(_encoded(wide, path.suffix[1:], "white"))
            plates[name] = Plate(_picture(wide), _picture(narrow))
    return plates


def _settle(figure: Figure) -> None:
    """Lay a figure out once for all formats; that is the slow part of saving it."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def _encoded(figure: Figure, kind: str, background: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, facecolor=background, metadata=UNDATED[kind])
    return buffer.getvalue()


def _picture(figure: Figure) -> Picture:
    uri = "data:image/svg+xml;base64," + base64.b64encode(_encoded(figure, "svg", "none")).decode()
    width, height = (round(PIXELS_PER_INCH * float(inches)) for inches in figure.get_size_inches())
    return Picture(uri, width, height)
