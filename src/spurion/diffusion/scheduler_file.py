"""The scheduler file of a model folder: the noise schedule, and what the network predicts.

``scheduler_config.json`` is what diffusers' `DDPMScheduler` writes for a `DDPMSchedule`. A `VESchedule`,
for which diffusers has no scheduler, has a file of the same name with its own class name in it.
"""

__all__ = ["SCHEDULER_FILE", "load_schedule", "save_schedule"]

from pathlib import Path

from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from pydantic import BaseModel, field_validator

from spurion.core.config import build_config
from spurion.core.files import read_json, write_json
from spurion.diffusion.denoisers.network import Prediction
from spurion.diffusion.schedule import BetaSchedule, DDPMSchedule, Schedule, VESchedule

SCHEDULER_FILE = "scheduler_config.json"


class _Discrete(BaseModel):
    """What a scheduler's configuration must say.

    How it would sample (clipping, spacing of steps, a fixed variance) is not read: samplers have options of
    their own. What these cannot do is refused.
    """

    num_train_timesteps: int
    beta_start: float
    beta_end: float
    beta_schedule: BetaSchedule = "linear"
    trained_betas: None = None
    rescale_betas_zero_snr: bool = False
    thresholding: bool = False
    variance_type: str | None = None
    prediction_type: Prediction = "epsilon"

    @field_validator("rescale_betas_zero_snr")
    @classmethod
    def _has_signal_everywhere(cls, rescaled: bool) -> bool:
        if rescaled:
            raise ValueError(
                "must be false, as a last step of pure noise says nothing of the image, got true"
            )
        return rescaled

    @field_validator("thresholding")
    @classmethod
    def _clips_at_fixed_ends(cls, dynamic: bool) -> bool:
        if dynamic:
            raise ValueError("must be false, as no sampler here has dynamic thresholding, got true")
        return dynamic

    @field_validator("variance_type")
    @classmethod
    def _has_a_fixed_variance(cls, kind: str | None) -> str | None:
        if kind is not None and kind.startswith("learned"):
            raise ValueError(f"must be fixed, as no sampler here reads a learned variance, got {kind}")
        return kind

    def schedule(self) -> DDPMSchedule:
        return DDPMSchedule(self.num_train_timesteps, self.beta_start, self.beta_end, self.beta_schedule)


class _Continuous(BaseModel):
    """What the file of a variance-exploding process must say."""

    scale: float
    prediction_type: Prediction

    def schedule(self) -> VESchedule:
        return VESchedule(self.scale)


def save_schedule(schedule: Schedule, prediction: Prediction, folder: Path) -> None:
    """Write the scheduler file.

    Arguments:
        schedule: The noise schedule, a `DDPMSchedule` or a `VESchedule`.
        prediction: What the model predicts.
        folder: The folder to write to, made if needed.

    Raises:
        ValueError: If the schedule is of another kind.
    """
    if isinstance(schedule, DDPMSchedule):
        DDPMScheduler(
            num_train_timesteps=schedule.steps,
            beta_start=schedule.beta_start,
            beta_end=schedule.beta_end,
            beta_schedule=schedule.beta_schedule,
            prediction_type=prediction,
        ).save_config(folder)
    elif isinstance(schedule, VESchedule):
        values = {"_class_name": "VESchedule", "scale": schedule.scale, "prediction_type": prediction}
        write_json(folder / SCHEDULER_FILE, values)
    else:
        raise ValueError(
            f"`denoiser` must have a DDPMSchedule or a VESchedule to be saved, got {type(schedule).__name__}."
        )


def load_schedule(folder: Path) -> tuple[DDPMSchedule | VESchedule, Prediction]:
    """Read the noise schedule and what the model predicts.

    Raises:
        ValueError: If there is no scheduler file, or it is damaged or of another kind of schedule.
    """
    path = folder / SCHEDULER_FILE
    if not path.is_file():
        raise ValueError(f"{path} is missing: the noise schedule of the model is not known without it.")
    values = read_json(path)
    continuous = isinstance(values, dict) and values.get("_class_name") == "VESchedule"
    kind: type[_Discrete | _Continuous] = _Continuous if continuous else _Discrete
    settings = build_config(kind, values, str(path))
    try:
        return settings.schedule(), settings.prediction_type
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
