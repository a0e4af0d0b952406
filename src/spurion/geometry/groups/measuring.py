"""All geometric measures at all groups of points of one model.

Basins are found once and read as critical noise and as volume; spectra are computed once and read as soft
directions, dimension, mean curvature and log-determinant. The two energies are measured at fewer points. A
measure that fails at a group costs that measure at that group, and nothing else.
"""

__all__ = ["Geometry", "Setting", "measure_geometry"]

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from spurion.core.failures import Losses
from spurion.core.progress import Progress, silent
from spurion.core.random import derive_seed, generator
from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.critical import CriticalNoise, basins
from spurion.geometry.energy import RelativeEnergy
from spurion.geometry.groups.choice import Group
from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.jacobian import coefficients
from spurion.geometry.log_density import FlowLogDensity
from spurion.geometry.measure import Measure, Measured
from spurion.geometry.stiffness import CURVATURES, stiffness
from spurion.geometry.volume import LogVolume
from spurion.neighbors import Distance

BASINS = (CriticalNoise(), LogVolume())
"""What is read off the basins."""


@dataclass(frozen=True)
class Setting:
    """How the geometry of one model is measured.

    Attributes:
        config: The settings that all models share.
        time: The time at which curvature and log-density are read.
        tolerance: The distance up to which a point counts as recovered; without it there are no basins.
        distance: The distance of the tolerance.
        references: What relative energies refer to, with shape (r, *shape).
        seed: The seed of all noise.
    """

    config: GeometryConfig
    time: int | float
    tolerance: float | None
    distance: Distance
    references: Float[Tensor, "r *shape"]
    seed: int


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


def measure_geometry(
    denoiser: Denoiser, groups: list[Group], setting: Setting, *, progress: Progress = silent
) -> Geometry:
    """Measure everything at every group that has points.

    Arguments:
        denoiser: The model.
        groups: The points.
        setting: How to measure.
        progress: Called after every kind of measure at every group.

    Raises:
        ValueError: If nothing could be measured.
    """
    geometry = Geometry()
    kinds = {
        _find_basins: [measure.name for measure in BASINS] if setting.tolerance is not None else [],
        _read_curvature: list(CURVATURES),
        _find_energy: [RelativeEnergy.name],
        _find_density: [FlowLogDensity.name],
    }
    filled = [group for group in groups if len(group)]
    steps = [(kind, names, group) for kind, names in kinds.items() if names for group in filled]
    for done, (kind, names, group) in enumerate(steps, start=1):
        with geometry.losses.alone(*names, where=f"{group.name} points"):
            kind(denoiser, group, setting, geometry)
        progress(done, len(steps))
    if filled and not geometry.values:
        raise ValueError(" ".join(geometry.losses.sentences()))
    return geometry


def _find_basins(denoiser: Denoiser, group: Group, setting: Setting, geometry: Geometry) -> None:
    found = basins(
        denoiser,
        group.points,
        setting.tolerance or 0.0,
        setting.config.basins,
        seed=derive_seed(setting.seed, "basins"),
        distance=setting.distance,
    )
    for measure in BASINS:
        with geometry.losses.alone(measure.name, where=f"{group.name} points"):
            geometry.add(measure.name, group, measure.of(found))


def _read_curvature(denoiser: Denoiser, group: Group, setting: Setting, geometry: Geometry) -> None:
    seed = derive_seed(setting.seed, "curvature", group.name)
    found = stiffness(denoiser, group.points, setting.time, cut=setting.config.cut, seed=seed)
    geometry.ranks[group.name], geometry.asymmetry[group.name] = found.ranks, found.asymmetry
    for name, measured in found.measures.items():
        geometry.add(name, group, measured)


def _find_energy(denoiser: Denoiser, group: Group, setting: Setting, geometry: Geometry) -> None:
    _at_few(RelativeEnergy(references=setting.references), denoiser, group, setting, geometry)


def _find_density(denoiser: Denoiser, group: Group, setting: Setting, geometry: Geometry) -> None:
    alpha, sigma = coefficients(denoiser.schedule, setting.time)
    measure = FlowLogDensity(noise=sigma / alpha, probes=setting.config.probes)
    _at_few(measure, denoiser, group, setting, geometry)


def _at_few(measure: Measure, denoiser: Denoiser, group: Group, setting: Setting, geometry: Geometry) -> None:
    few = group.first(setting.config.energy_points, seed=derive_seed(setting.seed, "energies"))
    random = generator(setting.seed, measure.name, group.name)
    geometry.add(measure.name, few, measure(denoiser, few.points, generator=random))
