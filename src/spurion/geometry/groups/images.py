"""Geometric measures at images of any kind: those that are asked for, each family computed once.

Basins are found once for all measures that are read off them, and spectra once for all measures of
curvature. Images go in batches, so that progress can be told; what a basin or a full spectrum says of one
image does not depend on the others. A measure that fails costs that measure, and no other.
"""

__all__ = ["ImageSetting", "measure_images"]

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.failures import Losses
from spurion.core.progress import Progress, silent
from spurion.core.random import derive_seed, generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.finite import check_answers
from spurion.geometry.basin import BasinConfig, BasinResult
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
        One value and one status for each image, by measure in the order of `MEASURES`; and a sentence for
        those that failed or that this model cannot have.

    Raises:
        ValueError: If the images do not have the model's shape, the model answers NaN or infinity, a name is
            unknown, none is given, or no measure could be taken.
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
    found: dict[str, list[Measured]] = {one.name: [] for one in measures}
    losses = Losses()
    for number, family in enumerate(families):
        with losses.alone(*(one.name for one in family)):
            for place, batch in enumerate(batches):
                read = _read(denoiser, batch, family, setting, place)
                for one in family:
                    with losses.alone(one.name):
                        found[one.name].append(read(one))
                progress(number * len(batches) + place + 1, len(families) * len(batches))
    whole = {name: _joined(parts) for name, parts in found.items() if len(parts) == len(batches)}
    if not whole:
        raise ValueError(" ".join(losses.sentences()))
    return whole, losses.sentences()


def _named(names: list[str]) -> list[Measure]:
    unknown = [name for name in names if name not in MEASURES]
    if unknown or not names:
        got = f"{unknown[0]!r}" if unknown else "none"
        raise ValueError(f"`measures` must be names among {', '.join(MEASURES)}, got {got}.")
    return [measure for name, measure in MEASURES.items() if name in names]


def _read(
    denoiser: Denoiser, batch: Tensor, family: list[Measure], setting: ImageSetting, place: int
) -> Callable[[Any], Measured]:
    """What each measure of a family is read with; what they share is computed here."""
    if isinstance(family[0], BasinMeasure):
        every_draw = any(isinstance(one, BasinMeasure) and one.every_draw for one in family)
        found = _basins(denoiser, batch, every_draw, setting)
        return lambda measure: measure.of(found)
    if isinstance(family[0], CurvatureMeasure):
        time, seed = denoiser.schedule.nearest(setting.noise), derive_seed(setting.seed, "curvature")
        spectra = stiffness(denoiser, batch, time, cut=setting.cut, seed=seed)
        return lambda measure: spectra.of(measure.name)
    return lambda measure: _alone(measure, denoiser, batch, setting, place)


def _basins(denoiser: Denoiser, batch: Tensor, every_draw: bool, setting: ImageSetting) -> BasinResult:
    config = setting.basins.model_copy(update={"every_draw": every_draw})
    seed = derive_seed(setting.seed, "basins")
    return basins(denoiser, batch, setting.tolerance, config, seed=seed, distance=setting.distance)


def _alone(
    measure: Measure, denoiser: Denoiser, batch: Tensor, setting: ImageSetting, place: int
) -> Measured:
    random = generator(setting.seed, measure.name, place)
    if isinstance(measure, RelativeEnergy):
        measure = replace(measure, references=setting.references)
    elif isinstance(measure, FlowLogDensity):
        measure = replace(measure, noise=setting.noise)
    return measure(denoiser, batch, generator=random)


def _joined(parts: list[Measured]) -> Measured:
    return Measured(torch.cat([one.values for one in parts]), torch.cat([one.status for one in parts]))
