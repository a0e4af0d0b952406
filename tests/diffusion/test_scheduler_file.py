"""Scheduler files of diffusers: the same process, the same denoised image, no field without a decision."""

import inspect
import json

import diffusers
import pytest
import torch
from diffusers import DDPMScheduler

from spurion.diffusion import scheduler_file
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.schedule import VESchedule
from spurion.diffusion.scheduler_file import SCHEDULER_FILE, load_process, save_schedule

CHAIN = scheduler_file._CHAIN
BETAS = {"num_train_timesteps": 50, "beta_start": 2e-4, "beta_end": 3e-2}
PLAIN = {"_class_name": "DDPMScheduler", **BETAS}


def written(folder, **values):
    (folder / SCHEDULER_FILE).write_text(json.dumps(values))
    return folder


def theirs(name, **fields):
    return getattr(diffusers, name)(**{**BETAS, **fields})


@pytest.mark.parametrize("kind", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("name", CHAIN)
def test_every_supported_scheduler_has_the_process_of_diffusers(tmp_path, name, kind):
    scheduler = theirs(name, beta_schedule=kind)
    scheduler.save_config(tmp_path)
    process = load_process(tmp_path)
    assert process.schedule.steps == 50
    expected = scheduler.alphas_cumprod.double()
    assert torch.allclose(process.schedule.alphas_cumprod, expected, rtol=1e-4, atol=1e-7)
    assert (process.prediction, process.clip_range) == ("epsilon", 1.0)


def denoised(scheduler, output, x_t, t):
    """The denoised image of diffusers at step t, for a noisy image in our scaling."""
    index, multistep = 49 - t, hasattr(scheduler, "convert_model_output")
    scheduler.set_timesteps(49 if multistep else 50)  # multistep ones leave out step 0
    step = scheduler.timesteps[index]
    assert float(step) == t
    if multistep:
        scheduler._step_index = index
        answer = scheduler.convert_model_output(output, sample=x_t)
        if not isinstance(scheduler, diffusers.DEISMultistepScheduler):
            return answer
        bar = scheduler.alphas_cumprod[t]  # this one gives the noise
        return (x_t - (1 - bar).sqrt() * answer) / bar.sqrt()
    scale = scheduler.alphas_cumprod[t].sqrt() if hasattr(scheduler, "sigmas") else 1.0
    sample = x_t / scale  # these walk in the coordinates x_t / alpha_t
    assert torch.allclose(scheduler.scale_model_input(sample, step), x_t, atol=1e-5)
    more = {"generator": torch.Generator()} if isinstance(scheduler, DDPMScheduler) else {}
    return scheduler.step(output, step, sample, **more).pred_original_sample


ANSWERING = [
    (name, prediction)
    for name in CHAIN
    for prediction in ("epsilon", "v_prediction", "sample")
    if hasattr(getattr(diffusers, name), "convert_model_output")
    or name in ("DDPMScheduler", "DDIMScheduler", "EulerDiscreteScheduler", "LMSDiscreteScheduler")
]


@pytest.mark.parametrize(("name", "prediction"), ANSWERING)
@pytest.mark.parametrize("t", [1, 20, 49])
def test_the_denoised_image_is_that_of_diffusers(tmp_path, name, prediction, t):
    spaced = "timestep_spacing" in inspect.signature(getattr(diffusers, name)).parameters
    more = {"timestep_spacing": "linspace"} if spaced else {}
    if "clip_sample" in inspect.signature(getattr(diffusers, name)).parameters:
        more["clip_sample"] = False
    scheduler = theirs(name, prediction_type=prediction, **more)
    scheduler.save_config(tmp_path)
    process = load_process(tmp_path)
    noise = torch.Generator().manual_seed(t)
    x_t, output = torch.randn(2, 2, 1, 4, 4, generator=noise)
    ours = NetworkDenoiser(Answer(output), process.schedule, (1, 4, 4), process.prediction)
    assert torch.allclose(ours(x_t, t), denoised(scheduler, output, x_t, t), rtol=1e-3, atol=1e-4)


class Answer(torch.nn.Module):
    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x_t, t):
        return self.output


def test_every_field_of_every_supported_scheduler_is_decided_on():
    decided = {*scheduler_file._Discrete.model_fields, *scheduler_file._ABOUT_SAMPLING}
    for name in CHAIN:
        fields = set(inspect.signature(getattr(diffusers, name)).parameters) - {"kwargs"}
        assert fields <= decided, name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_flow_sigmas": True}, "`use_flow_sigmas`: must be false, as flow matching is another process"),
        ({"timestep_type": "continuous"}, "`timestep_type`: must be discrete, .* got 'continuous'"),
        ({"prediction_type": "flow_prediction"}, "`prediction_type`: input should be 'epsilon', 'sample' or"),
        ({"prior_token": 3}, "`prior_token` is not known of any supported scheduler, and may .* got 3"),
        ({"snr_shift_scale": 3.0}, "`snr_shift_scale` is not known"),
        ({"timestep_scaling": 10.0}, "`timestep_scaling` is not known"),
        ({"beta_schedule": "laplace"}, "`beta_schedule`: input should be 'linear', 'scaled_linear' or"),
        ({"num_train_timesteps": 10**9}, "`num_train_timesteps`: input should be less than or equal to"),
        ({"num_train_timesteps": "50"}, "`num_train_timesteps`: input should be a valid integer, got '50'"),
        ({"beta_start": float("nan")}, "`beta_start`: input should be a finite number"),
        ({"beta_end": 0.999, "num_train_timesteps": 5000}, "the betas leave no signal in the last step"),
        ({"clip_sample_range": 0.0}, "`clip_sample_range`: input should be greater than 0, got 0.0"),
        ({"rescale_betas_zero_snr": True}, "`rescale_betas_zero_snr`: must be false"),
        (
            {"predict_epsilon": False, "prediction_type": "epsilon"},
            "`predict_epsilon` means that the network predicts sample, but `prediction_type` is epsilon",
        ),
        ({"_class_name": None}, "is damaged: it does not say of which class it is"),
        ({"_class_name": ["DDPMScheduler"]}, r"\['DDPMScheduler'\] is not supported"),
    ],
)
def test_another_process_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_process(written(tmp_path, **{**PLAIN, **change}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ScoreSdeVeScheduler", "a process in continuous time"),
        ("ScoreSdeVpScheduler", "a process in continuous time"),
        ("KarrasVeScheduler", "a process in noise levels instead of steps"),
        ("EDMEulerScheduler", "a process in noise levels instead of steps"),
        ("CMStochasticIterativeScheduler", "a network distilled into few steps"),
        ("LCMScheduler", "a network distilled into few steps"),
        ("FlowMatchEulerDiscreteScheduler", "flow matching"),
        ("IPNDMScheduler", None),
        ("CogVideoXDDIMScheduler", None),
        ("UnCLIPScheduler", None),
    ],
)
@pytest.mark.parametrize("indexed", [False, True])
def test_schedulers_of_another_process_are_refused_by_name(tmp_path, name, reason, indexed):
    values = {**BETAS} if indexed else {**PLAIN, "_class_name": name}
    why = rf" \({reason}\)" if reason else ""
    with pytest.raises(
        ValueError, match=f"'{name}'{why} is not supported; known are DDPMScheduler, .*--samples"
    ):
        load_process(written(tmp_path, **values), name if indexed else None)


def test_the_index_says_the_class_where_the_file_does_not(tmp_path):
    assert load_process(written(tmp_path, **BETAS), "DDIMScheduler").schedule.steps == 50
    with pytest.raises(ValueError, match="'EDMEulerScheduler'"):
        load_process(written(tmp_path, **PLAIN), "EDMEulerScheduler")


@pytest.mark.parametrize(
    ("fields", "prediction"),
    [
        ({"predict_epsilon": True}, "epsilon"),
        ({"predict_epsilon": False}, "sample"),
        ({"predict_epsilon": False, "prediction_type": "sample"}, "sample"),
        ({"predict_epsilon": None, "prediction_type": "v_prediction"}, "v_prediction"),
        ({}, "epsilon"),
    ],
)
def test_the_prediction_of_former_versions_is_heard(tmp_path, fields, prediction):
    assert load_process(written(tmp_path, **PLAIN, **fields)).prediction == prediction


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"clip_sample_range": 2.5}, 2.5),
        ({"clip_sample": True, "clip_sample_range": 2.5}, 2.5),
        ({"clip_sample": False, "clip_sample_range": 2.5}, 1.0),
        ({}, 1.0),
    ],
)
def test_the_range_of_clipping_is_heard(tmp_path, fields, limit):
    assert load_process(written(tmp_path, **PLAIN, **fields)).clip_range == limit


def test_what_only_steers_sampling_changes_nothing(tmp_path):
    more = {name: True for name in scheduler_file._ABOUT_SAMPLING}
    assert load_process(written(tmp_path, **PLAIN, **more)) == load_process(written(tmp_path, **PLAIN))
    assert load_process(written(tmp_path, **PLAIN, unknown=None)).schedule.steps == 50


def test_the_range_of_clipping_travels(tmp_path):
    schedule = load_process(written(tmp_path, **PLAIN)).schedule
    save_schedule(schedule, "sample", tmp_path, 2.5)
    assert load_process(tmp_path) == (schedule, "sample", 2.5)
    assert DDPMScheduler.from_pretrained(tmp_path).config.clip_sample_range == 2.5
    save_schedule(VESchedule(2.0), "sample", tmp_path)
    assert load_process(tmp_path) == (VESchedule(2.0), "sample", 1.0)
