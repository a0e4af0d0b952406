"""The scheduler file of a model folder: the noise schedule, and what the network predicts.

``scheduler_config.json`` is what diffusers' `DDPMScheduler` writes for a `DDPMSchedule`. A `VESchedule`,
for which diffusers has no scheduler, has a file of the same name with its own class name in it.

Many schedulers of diffusers walk the same chain of steps in other ways. They are opened, for the network
was trained on the process, not on the way: every field of their files is either read, or known to be about
the way alone, or refused.
"""

__all__ = ["SCHEDULER_FILE", "Process", "load_process", "save_schedule"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from spurion.core.config import build_config
from spurion.core.files import read_json, write_json
from spurion.diffusion.denoisers.network import Prediction
from spurion.diffusion.schedule import BetaSchedule, DDPMSchedule, Schedule, VESchedule
from spurion.diffusion.unsupported import unsupported

SCHEDULER_FILE = "scheduler_config.json"


_CHAIN = (
    "DDPMScheduler",
    "DDPMParallelScheduler",
    "DDIMScheduler",
    "DDIMParallelScheduler",
    "PNDMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
    "SASolverScheduler",
    "UniPCMultistepScheduler",
)
"""Schedulers of diffusers that sample networks trained on the discrete variance-preserving process."""

_ABOUT_SAMPLING = {
    "algorithm_type",
    "corrector_order",
    "disable_corrector",
    "dynamic_thresholding_ratio",
    "euler_at_final",
    "final_sigmas_type",
    "flow_shift",
    "interpolation_type",
    "lambda_min_clipped",
    "lower_order_final",
    "predict_x0",
    "predictor_order",
    "sample_max_value",
    "set_alpha_to_one",
    "shift_terminal",
    "sigma_max",
    "sigma_min",
    "skip_prk_steps",
    "solver_order",
    "solver_p",
    "solver_type",
    "steps_offset",
    "tau_func",
    "tensor_format",
    "time_shift_type",
    "timestep_spacing",
    "timestep_values",
    "use_beta_sigmas",
    "use_dynamic_shifting",
    "use_exponential_sigmas",
    "use_karras_sigmas",
    "use_lu_lambdas",
}
"""Fields that say where and how a scheduler would step, and nothing of the process that was trained on."""


class _Discrete(BaseModel):
    """What a scheduler's configuration must say.

    How it would sample (spacing of steps, a fixed variance) is not read: samplers have options of their own.
    What these cannot do is refused.
    """

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    num_train_timesteps: int = Field(le=100_000)
    beta_start: float
    beta_end: float
    beta_schedule: BetaSchedule = "linear"
    trained_betas: None = None
    rescale_betas_zero_snr: bool | None = False
    thresholding: bool | None = False
    variance_type: str | None = None
    timestep_type: str | None = None
    use_flow_sigmas: bool | None = False
    clip_sample: bool | None = None
    clip_sample_range: float = Field(1.0, gt=0, le=1e6)
    prediction_type: Prediction = "epsilon"
    predict_epsilon: bool | None = None

    @field_validator("trained_betas", mode="before")
    @classmethod
    def _has_named_betas(cls, betas: object) -> None:
        if betas is not None:
            raise ValueError(
                "must be null, as betas given one by one are not supported; draw the samples of the model "
                f"with its own code and give them to `spurion audit --samples`, got {betas!r:.80}"
            )

    @field_validator("rescale_betas_zero_snr")
    @classmethod
    def _has_signal_everywhere(cls, rescaled: bool | None) -> bool | None:
        if rescaled:
            raise ValueError(
                "must be false, as a last step of pure noise says nothing of the image, got true"
            )
        return rescaled

    @field_validator("thresholding")
    @classmethod
    def _clips_at_fixed_ends(cls, dynamic: bool | None) -> bool | None:
        if dynamic:
            raise ValueError("must be false, as no sampler here has dynamic thresholding, got true")
        return dynamic

    @field_validator("variance_type")
    @classmethod
    def _has_a_fixed_variance(cls, kind: str | None) -> str | None:
        if kind is not None and kind.startswith("learned"):
            raise ValueError(f"must be fixed, as no sampler here reads a learned variance, got {kind}")
        return kind

    @field_validator("timestep_type")
    @classmethod
    def _counts_steps(cls, kind: str | None) -> str | None:
        if kind not in (None, "discrete"):
            raise ValueError(f"must be discrete, as networks here are asked at whole steps, got {kind!r:.80}")
        return kind

    @field_validator("use_flow_sigmas")
    @classmethod
    def _adds_noise(cls, flow: bool | None) -> bool | None:
        if flow:
            raise ValueError("must be false, as flow matching is another process than adding noise, got true")
        return flow

    @model_validator(mode="after")
    def _predicts_one_thing(self) -> "_Discrete":
        if self.predict_epsilon is None:
            return self
        former = "epsilon" if self.predict_epsilon else "sample"
        if "prediction_type" in self.model_fields_set and self.prediction_type != former:
            raise ValueError(
                f"`predict_epsilon` means that the network predicts {former}, but `prediction_type` is "
                f"{self.prediction_type}; delete the one that is wrong"
            )
        return self

    def prediction(self) -> Prediction:
        return "sample" if self.predict_epsilon is False else self.prediction_type

    def clip_range(self) -> float:
        return 1.0 if self.clip_sample is False else self.clip_sample_range

    def schedule(self) -> DDPMSchedule:
        schedule = DDPMSchedule(self.num_train_timesteps, self.beta_start, self.beta_end, self.beta_schedule)
        if not float(schedule.alphas_cumprod[-1]) > 0:
            raise ValueError("the betas leave no signal in the last step, which says nothing of the image.")
        return schedule


class _Continuous(BaseModel):
    """What the file of a variance-exploding process must say."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    scale: float
    prediction_type: Prediction

    def prediction(self) -> Prediction:
        return self.prediction_type

    def clip_range(self) -> float:
        return 1.0

    def schedule(self) -> VESchedule:
        return VESchedule(self.scale)


class Process(NamedTuple):
    """What a model folder says of the process.

    Attributes:
        schedule: The noise schedule.
        prediction: What the network predicts.
        clip_range: Where samplers clip posterior means, in [-clip_range, clip_range].
    """

    schedule: DDPMSchedule | VESchedule
    prediction: Prediction
    clip_range: float


def save_schedule(schedule: Schedule, prediction: Prediction, folder: Path, clip_range: float = 1.0) -> None:
    """Write the scheduler file.

    Arguments:
        schedule: The noise schedule, a `DDPMSchedule` or a `VESchedule`.
        prediction: What the model predicts.
        folder: The folder to write to, made if needed.
        clip_range: Where samplers clip posterior means.

    Raises:
        ValueError: If the schedule is of another kind.
    """
    if isinstance(schedule, DDPMSchedule):
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

        DDPMScheduler(
            num_train_timesteps=schedule.steps,
            beta_start=schedule.beta_start,
            beta_end=schedule.beta_end,
            beta_schedule=schedule.beta_schedule,
            prediction_type=prediction,
            clip_sample_range=clip_range,
        ).save_config(folder)
    elif isinstance(schedule, VESchedule):
        values = {"_class_name": "VESchedule", "scale": schedule.scale, "prediction_type": prediction}
        write_json(folder / SCHEDULER_FILE, values)
    else:
        raise ValueError(
            f"`denoiser` must have a DDPMSchedule or a VESchedule to be saved, got {type(schedule).__name__}."
        )


def load_process(folder: Path, named: str | None = None) -> Process:
    """Read the noise schedule and what the model predicts.

    Arguments:
        folder: The folder of the scheduler file.
        named: The class that the index of the model folder names; None without an index.

    Raises:
        ValueError: If there is no scheduler file, or it is damaged or of another kind of process.
    """
    path = folder / SCHEDULER_FILE
    if not path.is_file():
        raise ValueError(f"{path} is missing: the noise schedule of the model is not known without it.")
    values = read_json(path, constants=True)  # diffusers writes infinite bounds
    values = values if isinstance(values, dict) else {}
    name = values.get("_class_name", named)
    for one in (name, named or name):
        if one not in (*_CHAIN, "VESchedule"):
            raise unsupported(path, one, _CHAIN)
    kind: type[_Discrete | _Continuous] = _Continuous if name == "VESchedule" else _Discrete
    settings = build_config(kind, values, str(path))
    _check_fields(path, kind, values)
    try:
        return Process(settings.schedule(), settings.prediction(), settings.clip_range())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _check_fields(path: Path, kind: type[BaseModel], values: Mapping[str, Any]) -> None:
    """Refuse a field that nobody has decided on."""
    known = {*kind.model_fields, *_ABOUT_SAMPLING}
    for field, value in values.items():
        if field not in known and not field.startswith("_") and value is not None:
            raise ValueError(
                f"{path}: `{field:.80}` is not known of any supported scheduler, and may change the process; "
                f"delete it if it does not, got {value!r:.80}."
            )
