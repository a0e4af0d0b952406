"""Who does the work of a study."""

__all__ = ["crew_for"]

from spurion.core.engine import available_cores
from spurion.core.environment import Crew
from spurion.diffusion.device import choose_device
from spurion.studies.config import StudyConfig


def crew_for(config: StudyConfig, points: int, workers: int | None) -> Crew:
    """Decide on processes and threads.

    The number of threads follows from the machine and the study alone, never from `workers`, because it can
    change the last digits of a result.

    Raises:
        ValueError: If `workers` is below 1 or the device is not there.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"`workers` must be at least 1, got {workers}.")
    device = choose_device(config.training.device)
    cores = available_cores()
    parallel = min(cores, points) if device.type == "cpu" else 1
    return Crew(workers or parallel, max(1, cores // parallel), str(device))
