"""Geometric measures at images of any kind: those that are asked for, each family computed once.

Basins are found once for all measures that are read off them, and spectra once for all measures of
curvature. Images go in batches, so that progress can be told; what a basin or a full spectrum says of one
image does not depend on the others.
"""

__all__ = ["ImageSetting", "measure_images"]

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.progress import Progress, silent
from spurion.core.random import derive_seed, generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.finite import check_answers
from spurion.geometry.basin import BasinConfig
from spurion.geometry.critical import BasinMeasure, basins
from spurion.geometry.curvature_measures import CurvatureMeasure
from spurion.geometry.energy import RelativeEnergy
from spurion.geometry.log_density import FlowLogDensity
from spurion.geometry.measure import Measure, Measured, check_points
from spurion.geometry.measures import MEASURES
from spurion.geometry.spectrum import CUT
from spurion.geometry.stiffness import stiffness
from spurion.neighbors import Distance
from spurion.neighbors.distances import L2

BATCH = 32
"""Images measured together."""


@dataclass(frozen=True)
class ImageSetting:
    r"""How images are measured.

    Attributes:
        tolerance: The distance up to which an image counts as recovered.
        noise: The noise :math:`\sigma_t / \alpha_t` at which curvature and log-density are read.
        seed: The seed of all noise.
        references: What relative energies refer to, with shape (r, *shape); None for mid-gray.
        distance: The distance of the tolerance.
        basins: How basins are looked for.
        cut: Directions softer than this are soft.
    """

    tolerance: float
    noise: float
    seed: int
    references: Float[Tensor, "r *shape"] | None = None
    distance: Distance = field(default_factory=L2)
    basins: BasinConfig = field(default_factory=lambda: BasinConfig(levels=1000))
    cut: float = CUT


def measure_images(
    denoiser: Denoiser,
    images: Float[Tensor, "n *shape"],
    names: list[str],
    setting: ImageSetting,
    *,
    progress: Progress = silent,
) -> tuple[dict[str, Measured], tuple[str, ...]]:
    """Measure every image.

    Arguments:
        denoiser: The model.
        images: The images, with shape (n, *shape).
        names: Which measures, by their names in `MEASURES`.
        setting: How.
        progress: Called with the number of batches done and their total.

    Returns:
        One value and one status for each image, by measure in the order of `MEASURES`; and a note for each
        measure that this model cannot have.

    Raises:
        ValueError: If the images do not have the model's shape, the model answers NaN or infinity, a name is
            unknown, none is given, or no measure applies.
    """
    check_points(denoiser, images, "images")
    check_answers(denoiser)
    measures = _named(names)
    families: list[list[Measure]] = [
        [one for one in measures if isinstance(one, BasinMeasure)],
        [one for one in measures if isinstance(one, CurvatureMeasure)],
        *([one] for one in measures if not isinstance(one, BasinMeasure | CurvatureMeasure)),
    ]
    families = [family for family in families if family]
    batches = images.split(BATCH)
    found: dict[str, list[Measured]] = {}
    notes: list[str] = []
    for number, family in enumerate(families):
        try:
            for place, batch in enumerate(batches):
                for name, measured in _measure(denoiser, batch, family, setting, place).items():
                    found.setdefault(name, []).append(measured)
                progress(number * len(batches) + place + 1, len(families) * len(batches))
        except ValueError as error:
            notes += [f"No {one.name}: {error}" for one in family]
    if not found:
        raise ValueError(notes[0])
    return {name: _joined(found[name]) for name in MEASURES if name in found}, tuple(notes)


def _named(names: list[str]) -> list[Measure]:
    unknown = [name for name in names if name not in MEASURES]
    if unknown or not names:
        got = f"{unknown[0]!r}" if unknown else "none"
        raise ValueError(f"`measures` must be names among {', '.join(MEASURES)}, got {got}.")
    return [measure for name, measure in MEASURES.items() if name in names]


def _measure(
    denoiser: Denoiser, batch: Tensor, family: list[Measure], setting: ImageSetting, place: int
) -> dict[str, Measured]:
    first = family[0]
    if isinstance(first, BasinMeasure):
        return _basins(denoiser, batch, [one for one in family if isinstance(one, BasinMeasure)], setting)
    if isinstance(first, CurvatureMeasure):
        return _curvatures(denoiser, batch, [one.name for one in family], setting)
    random = generator(setting.seed, first.name, place)
    if isinstance(first, RelativeEnergy):
        first = replace(first, references=setting.references)
    elif isinstance(first, FlowLogDensity):
        first = replace(first, noise=setting.noise)
    return {first.name: first(denoiser, batch, generator=random)}


def _basins(
    denoiser: Denoiser, batch: Tensor, family: list[BasinMeasure], setting: ImageSetting
) -> dict[str, Measured]:
    every_draw = any(one.every_draw for one in family)
    config = setting.basins.model_copy(update={"every_draw": every_draw})
    seed = derive_seed(setting.seed, "basins")
    found = basins(denoiser, batch, setting.tolerance, config, seed=seed, distance=setting.distance)
    return {one.name: one.of(found) for one in family}


def _curvatures(
    denoiser: Denoiser, batch: Tensor, names: list[str], setting: ImageSetting
) -> dict[str, Measured]:
    time = denoiser.schedule.nearest(setting.noise)
    seed = derive_seed(setting.seed, "curvature")
    found = stiffness(denoiser, batch, time, cut=setting.cut, seed=seed)
    return {name: found.of(name) for name in names}


def _joined(parts: list[Measured]) -> Measured:
    return Measured(torch.cat([one.values for one in parts]), torch.cat([one.status for one in parts]))
