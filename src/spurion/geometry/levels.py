r"""The ladder of noise on which recovery is tested.

Recovery is tested at a finite list of times :math:`t_0 < t_1 < \dots < t_{L-1}`; critical noise is known to
one rung. The paper's ladder has the steps 1, 26, 51, ..., 976 of 1,000.
"""

__all__ = ["check_levels", "noise_levels"]

import torch
from jaxtyping import Num
from torch import Tensor

from spurion.diffusion.probability_flow import least_time
from spurion.diffusion.schedule import DDPMSchedule, Schedule


def noise_levels(schedule: Schedule, count: int = 40) -> Num[Tensor, " levels"]:
    """The times of the default ladder.

    Arguments:
        schedule: The noise schedule.
        count: The number L of levels, at least 1; fewer where the schedule has not so many steps.

    Returns:
        Increasing times above the schedule's least: evenly spaced integer steps from 1 up to, at most, one
        stride below the last; or times from 2e-4
        to 1, evenly spaced in log t, for a continuous schedule.

    Raises:
        ValueError: If `count` is below 1.

    Example:
        >>> noise_levels(DDPMSchedule())[:3], noise_levels(DDPMSchedule())[-1]
        (tensor([ 1, 26, 51]), tensor(976))
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1, got {count}.")
    if isinstance(schedule, DDPMSchedule):
        steps = min(1, schedule.steps - 1) + torch.arange(count) * schedule.steps // count
        return steps.clamp(max=schedule.steps - 1).unique()
    return torch.logspace(0, 1, count, base=1 / (2 * least_time(schedule)), dtype=torch.float64) * (
        2 * least_time(schedule)
    )


def check_levels(schedule: Schedule, times: Num[Tensor, " levels"]) -> None:
    """Check that times given by hand make a ladder.

    Raises:
        ValueError: If there are none, they do not increase, or the lowest is below the schedule's least.
    """
    if times.ndim != 1 or not len(times):
        raise ValueError(f"`times` must be a list of at least one time, got shape {tuple(times.shape)}.")
    if not bool((times.diff() > 0).all()):
        raise ValueError("`times` must increase from each to the next.")
    if not float(times[0]) >= least_time(schedule) * (1 - 1e-6):
        raise ValueError(f"`times` must be at least {least_time(schedule):g}, got {float(times[0]):g}.")
    schedule.sigma(times)  # which checks the type of the times and their upper end
