"""Where the samples of an audit flow, if its model is measured."""

__all__ = ["model_flow"]

from jaxtyping import Int64
from torch import Tensor

from spurion.audits.request import Request
from spurion.audits.sources import Images, Model
from spurion.core.failures import FAILURES, one_sentence
from spurion.core.random import derive_seed
from spurion.geometry.groups.flow import NO_THRESHOLD, FlowConfig, SampleFlow, not_followed, sample_flow
from spurion.phases.rules import ThresholdInfo


def model_flow(
    request: Request,
    images: Images,
    thresholds: ThresholdInfo,
    labels: Int64[Tensor, " n"] | None,
    model: Model | None,
) -> tuple[SampleFlow | None, Int64[Tensor, " n"] | None, tuple[str, ...]]:
    """Follow samples and training images, where the geometry of the model was asked for.

    Arguments:
        request: What was asked.
        images: The sets.
        thresholds: Half of that of copies says which states are the same.
        labels: The classes of the samples, or None.
        model: The model; None if there is none.

    Returns:
        The result, where each sample ends (see `sample_flow`), and notes on why there is none.
    """
    if model is None or not request.points:
        return None, None, ()
    if thresholds.memorized is None:
        return None, None, (NO_THRESHOLD,)
    try:
        found, ends = sample_flow(
            model.denoiser,
            images.samples.images,
            labels,
            images.train.images,
            thresholds.memorized,
            FlowConfig(),
            distance=request.distance,
            seed=derive_seed(request.seed, "flow"),
            progress=request.progress,
        )
    except FAILURES as error:
        return None, None, (not_followed(one_sentence(error)),)
    return found, ends, ()
