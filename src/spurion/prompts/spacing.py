r"""Which times a walk visits: those that diffusers' `DDIMScheduler` makes of a pipeline's scheduler file.

With T steps of training and S of the walk, and :math:`r = \lfloor T / S \rfloor`:

- leading: :math:`i r + o` for i = S - 1 ... 0, with an offset o;
- trailing: :math:`T - i T / S - 1`, rounded, for i = 0 ... S - 1;
- linspace: S numbers from T - 1 to 0, evenly spaced and rounded.

From the last time the walk goes r steps further where the process has such a step; else to
:math:`\bar\alpha = 1`, or to :math:`\bar\alpha_0` where the file says so (`set_alpha_to_one` false, as Stable
Diffusion has it). Each step of the walk goes to the next time. (diffusers always goes r steps down; where
that is beside the next time, for linspace and where S does not divide T, the samples differ a little.)

References:
    | Common Diffusion Noise Schedules and Sample Steps are Flawed (Lin et al., 2024), Tab. 2
"""

__all__ = ["Spacing", "read_spacing"]

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from spurion.core.config import build_config
from spurion.core.files import read_json
from spurion.diffusion.schedule import DDPMSchedule
from spurion.prompts.walk import Walk


class Spacing(BaseModel):
    """How a walk spaces its times.

    Attributes:
        timestep_spacing: "leading", "trailing" or "linspace".
        steps_offset: What is added to the times of leading ones.
        set_alpha_to_one: Whether the walk ends without noise.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    timestep_spacing: Literal["leading", "trailing", "linspace"] = "leading"
    steps_offset: int = Field(0, ge=0)
    set_alpha_to_one: bool = True

    def walk(self, schedule: DDPMSchedule, steps: int) -> Walk:
        """The walk of some steps.

        Arguments:
            schedule: The noise schedule.
            steps: How many, 1 to the T of the schedule.

        Raises:
            ValueError: If `steps` is out of range, or so many would begin beyond the schedule.
        """
        most = schedule.steps
        if not 1 <= steps <= most:
            raise ValueError(f"`steps` must lie in 1..{most}, got {steps}.")
        times = self._times(most, steps)
        if times[0] >= most:
            raise ValueError(
                f"`steps` must be fewer: a walk of {steps} would begin at step {times[0]} "
                f"(`steps_offset` {self.steps_offset}), and the schedule ends at {most - 1}."
            )
        bars = schedule.alphas_cumprod
        further = times[-1] - most // steps
        end = 1.0 if self.set_alpha_to_one else float(bars[0])
        return Walk(tuple(times), float(bars[further]) if further >= 0 else end)

    def _times(self, most: int, steps: int) -> list[int]:
        if self.timestep_spacing == "leading":
            return [step * (most // steps) + self.steps_offset for step in reversed(range(steps))]
        if self.timestep_spacing == "linspace":
            times = np.linspace(0, most - 1, steps).round()[::-1]
        else:
            times = np.round(np.arange(most, 0, -most / steps))[:steps] - 1
        return [int(time) for time in times]


def read_spacing(path: Path, *, corrected: bool) -> Spacing:
    """Read how the walks of a pipeline are spaced.

    Arguments:
        path: The scheduler file.
        corrected: Whether an offset that is given counts as 1, as diffusers corrects the files of
            `StableDiffusionPipeline`.

    Raises:
        ValueError: If the file is damaged.
    """
    values = read_json(path, constants=True)
    known = {name: values[name] for name in Spacing.model_fields if values.get(name) is not None}
    if corrected and "steps_offset" in known:
        known["steps_offset"] = 1
    return build_config(Spacing, known, str(path))
