r"""The ladder of noise on which recovery is tested.

Recovery is tested at a finite list of times :math:`t_0 < t_1 < \dots < t_{L-1}`; critical noise is known to
one rung. The paper's ladder has the steps 1, 26, 51, ..., 976 of 1,000.
"""

__all__ = ["check_levels"]

from jaxtyping import Num
from torch import Tensor

from spurion.diffusion.schedule import Schedule


def check_levels(schedule: Schedule, times: Num[Tensor, " levels"]) -> None:
    """Check that times given by hand make a ladder.

    Raises:
        ValueError: If there are none, they do not increase, or the lowest is below the schedule's least.
    """
    if times.ndim != 1 or not len(times):
        raise ValueError(f"`times` must be a list of at least one time, got shape {tuple(times.shape)}.")
    if not bool((times.diff() > 0).all()):
        raise ValueError("`times` must increase from each to the next.")
    if not float(times[0]) >= schedule.least_time * (1 - 1e-6):
        raise ValueError(f"`times` must be at least {schedule.least_time:g}, got {float(times[0]):g}.")
    schedule.sigma(times)  # which checks the type of the times and their upper end
