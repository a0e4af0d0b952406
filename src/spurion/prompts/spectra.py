"""The curvature at samples of prompts, by what the prompts are: the paper's case study (its Fig. 5B).

Every prompt makes a denoiser of its own, the conditional one, which is measured at the prompt's first sample;
prompts of one label are a group. Without labels the groups are what the samples are.
"""

__all__ = ["Spectra", "groups_of", "spectra"]

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.progress import Progress, silent
from spurion.core.random import derive_seed, generator
from spurion.geometry.basin import BasinConfig
from spurion.geometry.groups.choice import Group
from spurion.geometry.groups.found import geometry_result
from spurion.geometry.groups.measuring import Geometry, measure
from spurion.geometry.groups.results import GeometryResult
from spurion.geometry.jacobian import ScoreJacobian, coefficients
from spurion.geometry.measured import Measured
from spurion.geometry.measures import MEASURES
from spurion.geometry.perturbations import one_sided_singular_values
from spurion.geometry.setting import Setting
from spurion.geometry.stiffness import FULL_DIM
from spurion.phases.classification import CLASSES
from spurion.prompts.pipeline import TextPipeline
from spurion.prompts.results import PromptReading

NOISE = 0.1
r"""The noise :math:`\sigma_t / \alpha_t` at which the curvature is read."""

SHARED = "curvature"
"""The measures of `spurion.geometry` that are read."""


class Spectra(NamedTuple):
    """What was found.

    Attributes:
        geometry: The measures, by group.
        singular: Medians of the singular values by Algorithm 3, by group, largest first; empty where there
            are too many coordinates for it.
    """

    geometry: GeometryResult
    singular: dict[str, tuple[float, ...]]


def groups_of(prompts: Sequence[PromptReading], most: int, *, seed: int) -> dict[str, list[int]]:
    """Prompts of each class, at most so many, at random: by label, or by outcome where no prompt has one.

    Arguments:
        prompts: The prompts.
        most: How many of each class.
        seed: The seed of the choice.
    """
    labeled = any(one.label in CLASSES for one in prompts)
    found: dict[str, list[int]] = {}
    for name in CLASSES:
        members = [
            i
            for i, one in enumerate(prompts)
            if name == (one.label if labeled else one.answered and one.answered.outcome)
        ]
        order = torch.randperm(len(members), generator=generator(seed, "spectra", name)).tolist()
        if members:
            found[name] = sorted(members[i] for i in order[:most])
    return found


def spectra(
    pipeline: TextPipeline,
    prompts: Mapping[str, Sequence[str]],
    samples: Mapping[str, Float[Tensor, "n *shape"]],
    *,
    seed: int,
    progress: Progress = silent,
) -> Spectra:
    """Read the curvature at a sample of each prompt.

    Arguments:
        pipeline: The model.
        prompts: The prompts of each class.
        samples: One sample of each, in latent space.
        seed: The seed of all probes.
        progress: Called after every prompt.

    Raises:
        ValueError: If nothing could be measured.
    """
    dim = math.prod(pipeline.shape)
    time = pipeline.schedule.nearest(NOISE)
    alpha, sigma = coefficients(pipeline.schedule, time)
    names = [name for name, one in MEASURES.items() if one.shared == SHARED and dim <= one.most_dim]
    whole, rows = Geometry(), dict[str, list[Tensor]]()
    done, total = 0, sum(map(len, prompts.values()))
    for name, texts in prompts.items():
        for index, (text, x) in enumerate(zip(texts, samples[name], strict=True)):
            denoiser = pipeline.at(text, 1.0)
            own = derive_seed(seed, "spectra", text)
            setting = Setting(time=time, noise=sigma / alpha, tolerance=None, seed=own)
            point = Group(name, len(texts), torch.tensor([index]), x[None].to(denoiser.device))
            _add(whole, measure(denoiser, [point], names, setting))
            if dim <= FULL_DIM:
                values = one_sided_singular_values(
                    ScoreJacobian(denoiser, point.points, time), generator=generator(own, "algorithm 3")
                )
                rows.setdefault(name, []).append(values)
            done += 1
            progress(done, total)
    groups = [
        Group(name, len(texts), torch.arange(len(texts)), samples[name]) for name, texts in prompts.items()
    ]
    result = geometry_result(
        pipeline.at("", 1.0), groups, whole, time=time, tolerance=None, basins=BasinConfig()
    )
    kept = tuple(note for note in result.notes if not note.startswith("Basins were not looked for"))
    return Spectra(result.model_copy(update={"notes": kept}), {k: _medians(v) for k, v in rows.items()})


def _add(whole: Geometry, one: Geometry) -> None:
    """Add what was found at further points."""
    whole.losses.add(one.losses)
    for name, groups in one.values.items():
        for group, found in groups.items():
            known = whole.values.setdefault(name, {}).get(group)
            whole.values[name][group] = found if known is None else _joined(known, found)
    for group, ranks in one.ranks.items():
        known_ranks = whole.ranks.get(group)
        whole.ranks[group] = ranks if known_ranks is None else torch.cat([known_ranks, ranks])
        whole.asymmetry[group] = _more(whole.asymmetry.get(group), one.asymmetry[group])


def _joined(first: Measured, second: Measured) -> Measured:
    return Measured(torch.cat([first.values, second.values]), torch.cat([first.status, second.status]))


def _more(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    parts = [part for part in (first, second) if part is not None]
    return torch.cat(parts) if parts else None


def _medians(rows: list[Tensor]) -> tuple[float, ...]:
    every = torch.cat(rows)
    known = every[every.isfinite().all(dim=1)]
    return tuple(known.median(dim=0).values.tolist()) if len(known) else ()
