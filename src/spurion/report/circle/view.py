"""Data of the interactive view: every exact landscape, small enough to travel inside the page."""

__all__ = ["view_data"]

import base64
import math
from typing import Any

import numpy as np
from jaxtyping import Float

from spurion.report.circle.figures.landscapes import TOP, spread
from spurion.report.circle.run import CircleRun, Landscape
from spurion.report.circle.words import angle, beta_text, count_text, time_text
from spurion.studies.circle.results import Minimum

ARROWS = 15
"""Arrows along each side."""

MOST_PATTERNS = 100
"""Larger sets are too dense to be drawn one by one."""


def view_data(run: CircleRun) -> dict[str, Any]:
    """Everything the view needs, as plain values.

    Returns:
        `top`, the energy of the darkest shade; `extent` of the grid; `betas` and `counts` as texts; `start`,
        positions to open with; `patterns`, angles in degrees by count (or None); and `views`, for each count
        and beta: `energy` (bytes in base64, rows from the bottom, 255 is `top` above the lowest), `points`
        along a side, `arrows` (bytes: x and y, 128 is 0), `arrow_points`, `minima` (x, y, class, angle,
        radius, energy, effective number, barrier or None), and `ring`, a radius or None.
    """
    landscapes = run.landscapes
    betas = [state.beta for state in landscapes[0].states] if landscapes else []
    return {
        "top": TOP,
        "extent": landscapes[0].extent if landscapes else 1,
        "betas": [beta_text(beta) for beta in betas],
        "times": [time_text(beta) for beta in betas],
        "counts": [count_text(landscape.count) for landscape in landscapes],
        "start": _start(run, betas),
        "patterns": [_patterns(run, landscape) for landscape in landscapes],
        "views": [[_view(landscape, i) for i in range(len(betas))] for landscape in landscapes],
    }


def _start(run: CircleRun, betas: list[float]) -> list[int]:
    """The set and temperature to open with: those of the paper's figure, or the nearest there are."""
    counts = [landscape.count or 10**6 for landscape in run.landscapes]
    if not counts:
        return [0, 0]
    row = min(range(len(counts)), key=lambda i: abs(math.log(counts[i] / 9)))
    column = min(range(len(betas)), key=lambda i: abs(math.log(betas[i] * 0.3)))
    return [row, column]


def _patterns(run: CircleRun, landscape: Landscape) -> list[float] | None:
    degrees = run.study.patterns.get(landscape.count) if landscape.count else None
    if degrees is None or len(degrees) > MOST_PATTERNS:
        return None
    return [round(value, 2) for value in degrees]


def _view(landscape: Landscape, column: int) -> dict[str, Any]:
    energy, state = landscape.energy[column], landscape.states[column]
    above = np.clip((energy - energy.min()) / TOP, 0, 1)
    places = spread(len(energy), ARROWS)
    return {
        "energy": _packed(np.rint(255 * above)),
        "points": len(energy),
        "arrows": _packed(128 + np.rint(127 * _directions(landscape.score[column][np.ix_(places, places)]))),
        "arrow_points": len(places),
        "minima": [_row(minimum) for minimum in state.minima],
        "ring": state.ring,
    }


def _directions(score: Float[np.ndarray, "n n 2"]) -> Float[np.ndarray, "n n 2"]:
    """Directions with lengths from 0 to 1: the square root of the strength, relative to the strongest."""
    length = np.linalg.norm(score, axis=2, keepdims=True)
    return score / np.maximum(length, 1e-12) * np.sqrt(length / max(float(length.max()), 1e-12))


def _packed(values: Float[np.ndarray, "..."]) -> str:
    return base64.b64encode(values.astype(np.uint8).tobytes()).decode()


def _row(minimum: Minimum) -> list[Any]:
    x, y = minimum.x, minimum.y
    return [
        round(x, 4),
        round(y, 4),
        minimum.kind,
        round(angle(x, y), 1),
        round((x * x + y * y) ** 0.5, 4),
        float(f"{minimum.energy:.3g}"),
        float(f"{minimum.effective_number:.3g}"),
        None if minimum.barrier is None else float(f"{minimum.barrier:.3g}"),
    ]
