"""Measures at groups of points of one model: those that are asked for, what they share computed once.

Basins are found once for all measures that are read off them, and spectra once for all measures of curvature.
A measure that fails at a group costs that measure at that group, and nothing else.
"""

__all__ = ["Geometry", "measure", "usual_measures"]

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from spurion.core.failures import Losses
from spurion.core.progress import Progress, silent
from spurion.core.random import derive_seed
from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.critical import BasinMeasure
from spurion.geometry.groups.choice import Group
from spurion.geometry.kinds import Measure
from spurion.geometry.measured import Measured
from spurion.geometry.measures import MEASURES
from spurion.geometry.setting import Setting
from spurion.geometry.stiffness import Stiffness


@dataclass
class Geometry:
    """What was found at the points of each group.

    Attributes:
        values: By measure, then by group: one value for each point.
        points: By measure, then by group: the indices of the points.
        ranks: By group: stiffness at evenly spaced ranks, with shape (n, R).
        asymmetry: By group: ||J - J^T|| / ||J||, with shape (n,); None where it was not computed.
        losses: What could not be measured, and why.
    """

    values: dict[str, dict[str, Measured]] = field(default_factory=dict)
    points: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    ranks: dict[str, Tensor] = field(default_factory=dict)
    asymmetry: dict[str, Tensor | None] = field(default_factory=dict)
    losses: Losses = field(default_factory=Losses)

    def add(self, measure: str, group: Group, found: Measured) -> None:
        """Keep one measure of one group."""
        self.values.setdefault(measure, {})[group.name] = found
        self.points.setdefault(measure, {})[group.name] = group.index

    def keep(self, group: Group, found: Stiffness) -> None:
        """Keep the spectra of a group, or of its next batch."""
        name, known = group.name, self.asymmetry.get(group.name)
        self.ranks[name] = torch.cat([self.ranks[name], found.ranks]) if name in self.ranks else found.ranks
        whole = [part for part in (known, found.asymmetry) if part is not None]
        self.asymmetry[name] = torch.cat(whole) if whole else None


def usual_measures(dim: int, *, basins: bool) -> list[str]:
    """What studies and audits measure.

    Arguments:
        dim: The number of coordinates of a point.
        basins: Whether there is a tolerance; without one nothing says what counts as recovered.
    """
    return [
        name
        for name, one in MEASURES.items()
        if one.usual and dim <= one.most_dim and (basins or not isinstance(one, BasinMeasure))
    ]


def measure(
    denoiser: Denoiser,
    groups: Sequence[Group],
    measures: Sequence[str],
    setting: Setting,
    *,
    batch: int | None = None,
    progress: Progress = silent,
) -> Geometry:
    """Measure every group that has points.

    Arguments:
        denoiser: The model.
        groups: The points.
        measures: Which measures, by their names in `MEASURES`.
        setting: How to measure.
        batch: How many points are measured together; all of a group if not given. What a basin or a full
            spectrum says of one point does not depend on the others.
        progress: Called after every kind of measure at every batch, with the number done and their total.

    Returns:
        What was found; measures that share a computation stand together.

    Raises:
        ValueError: If a name is unknown or none is given, or nothing could be measured.
    """
    geometry, filled = Geometry(), [group for group in groups if len(group)]
    steps = [(kind, _points(kind[0], group, setting)) for kind in _kinds(measures) for group in filled]
    split = [group.batches(batch) for _, group in steps]
    done, total = 0, sum(map(len, split))
    for (kind, group), batches in zip(steps, split, strict=True):
        parts: dict[str, list[Measured]] = {one.name: [] for one in kind}
        where = f"{group.name} points" if group.name else ""
        for place, points in enumerate(batches):
            left = [one for one in kind if len(parts[one.name]) == place]
            with geometry.losses.alone(*(one.name for one in left), where=where):
                found = _find(denoiser, left, points, setting, None if batch is None else place)
                for one in left:
                    with geometry.losses.alone(one.name, where=where):
                        parts[one.name].append(one.of(found))
                if isinstance(found, Stiffness):
                    geometry.keep(group, found)
            done += 1
            progress(done, total)
        for name, known in parts.items():
            if len(known) == len(batches):
                geometry.add(name, group, _joined(known))
    if filled and not geometry.values:
        raise ValueError(" ".join(geometry.losses.sentences()))
    return geometry


def _kinds(names: Sequence[str]) -> list[list[Measure]]:
    """The measures of these names, those that share a computation together."""
    unknown = [name for name in names if name not in MEASURES]
    if unknown or not names:
        got = f"{unknown[0]!r}" if unknown else "none"
        raise ValueError(f"`measures` must be names among {', '.join(MEASURES)}, got {got}.")
    kinds: dict[tuple[str, str], list[Measure]] = {}
    for name, one in MEASURES.items():
        if name in names:
            kinds.setdefault((one.shared, "" if one.shared else name), []).append(one)
    return list(kinds.values())


def _points(measure: Measure, group: Group, setting: Setting) -> Group:
    """The points of a group at which a measure is taken: some of them where it is costly."""
    if setting.few is None or not measure.costly:
        return group
    return group.first(setting.few, seed=derive_seed(setting.seed, "energies"))


def _find(
    denoiser: Denoiser, measures: list[Measure], points: Group, setting: Setting, place: int | None
) -> Any:
    """What measures that share a computation are read off, at one batch; None if there are none left."""
    if not measures:
        return None
    one = measures[0]
    path: list[str | int] = [points.name] if points.name and one.by_group else []
    path += [] if one.shared or place is None else [place]
    seed = derive_seed(setting.seed, one.shared or one.name, *path)
    return one.find(measures, denoiser, points.points, setting, seed=seed)


def _joined(parts: list[Measured]) -> Measured:
    return Measured(torch.cat([one.values for one in parts]), torch.cat([one.status for one in parts]))
