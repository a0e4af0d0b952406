import hashlib
import json
import os
import pickle
import shutil
import stat

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file
from torch import nn

from spurion.diffusion import folder as module
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.denoisers.network_config import FourierMLPConfig, FourierResidualConfig, MLPConfig
from spurion.diffusion.denoisers.unet import UNetConfig
from spurion.diffusion.folder import folder_hash, load_denoiser, save_denoiser
from spurion.diffusion.schedule import DDPMSchedule, Schedule, VESchedule

SCHEDULE = DDPMSchedule(100, 2e-4, 3e-2)
WEIGHTS = "diffusion_pytorch_model.safetensors"


def generator():
    return torch.Generator().manual_seed(0)


def unet(prediction="epsilon", seed=0):
    config = UNetConfig(
        channels=8, groups=4, multipliers=(1, 2), blocks=1, attention=(4,), prediction=prediction
    )
    return config.build(torch.zeros(1, 3, 8, 8), SCHEDULE, generator=torch.Generator().manual_seed(seed))


def noisy():
    return torch.randn(2, 3, 8, 8, generator=generator())


def exact():
    return ExactDenoiser(torch.rand(3, 1, 2, 2, generator=generator()), SCHEDULE)


def edit(path, **changes):
    values = json.loads(path.read_text())
    for key, value in changes.items():
        if value is None:
            del values[key]
        else:
            values[key] = value
    path.write_text(json.dumps(values))


@pytest.fixture
def saved(tmp_path):
    save_denoiser(unet(), tmp_path / "model")
    return tmp_path / "model"


def test_diffusers_opens_a_unet(saved):
    with torch.random.fork_rng(devices=[]):
        pipeline = DDPMPipeline.from_pretrained(saved)
    assert isinstance(pipeline.unet, UNet2DModel)
    config = pipeline.scheduler.config
    assert (config.num_train_timesteps, config.beta_start, config.beta_end) == (100, 2e-4, 3e-2)
    assert config.prediction_type == "epsilon"
    with torch.no_grad():
        theirs = pipeline.unet(noisy(), torch.tensor([7, 7])).sample
    assert torch.equal(unet().network(noisy(), torch.tensor([7, 7])).sample, theirs)


def test_a_folder_written_by_diffusers_opens(tmp_path):
    ours = unet()
    scheduler = DDPMScheduler(num_train_timesteps=100, beta_start=2e-4, beta_end=3e-2)
    DDPMPipeline(unet=ours.network, scheduler=scheduler).save_pretrained(tmp_path)
    assert torch.equal(load_denoiser(tmp_path)(noisy(), 50), ours(noisy(), 50))


@pytest.mark.parametrize("kind", ["scaled_linear", "squaredcos_cap_v2"])
def test_schedules_of_other_kinds_travel(tmp_path, kind):
    scheduler = DDPMScheduler(100, 2e-4, 3e-2, kind, variance_type="fixed_large")
    DDPMPipeline(unet=unet().network, scheduler=scheduler).save_pretrained(tmp_path / "theirs")
    loaded = load_denoiser(tmp_path / "theirs")
    assert loaded.schedule == DDPMSchedule(100, 2e-4, 3e-2, kind)
    save_denoiser(loaded, tmp_path / "ours")
    assert load_denoiser(tmp_path / "ours").schedule == loaded.schedule
    theirs = DDPMPipeline.from_pretrained(tmp_path / "ours").scheduler
    assert torch.equal(theirs.alphas_cumprod, scheduler.alphas_cumprod)


@pytest.mark.parametrize("config", [MLPConfig(width=8), FourierResidualConfig(width=8, blocks=1)])
def test_networks_that_know_the_noise_know_the_kind_of_schedule(tmp_path, config):
    cosine = DDPMSchedule(20, beta_schedule="squaredcos_cap_v2")
    denoiser = config.build(torch.zeros(1, 2), cosine, generator=generator())
    straight = config.build(torch.zeros(1, 2), DDPMSchedule(20), generator=generator())
    x_t = torch.randn(3, 2, generator=generator())
    t = torch.tensor([1, 9, 19])
    assert not torch.allclose(denoiser.network(x_t, t), straight.network(x_t, t))
    save_denoiser(denoiser, tmp_path / "model")
    assert torch.equal(load_denoiser(tmp_path / "model")(x_t, 9), denoiser(x_t, 9))


@pytest.mark.parametrize("beside", [True, False])
def test_a_network_alone_opens(saved, tmp_path, beside):
    bare = tmp_path / "bare"
    shutil.copytree(saved / "unet", bare)
    if beside:
        shutil.copy(saved / "scheduler" / "scheduler_config.json", bare)
    else:
        shutil.copytree(saved / "scheduler", bare / "scheduler")
    assert torch.equal(load_denoiser(bare)(noisy(), 50), unet()(noisy(), 50))


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_the_prediction_travels(tmp_path, prediction):
    denoiser = unet(prediction)
    save_denoiser(denoiser, tmp_path / "model")
    loaded = load_denoiser(tmp_path / "model")
    assert loaded.prediction == prediction
    assert torch.equal(loaded(noisy(), 50), denoiser(noisy(), 50))


def test_half_precision_is_read_as_float32(saved):
    weights = load_file(saved / "unet" / WEIGHTS)
    save_file({name: value.half() for name, value in weights.items()}, saved / "unet" / WEIGHTS)
    loaded = load_denoiser(saved)
    assert loaded.dtype == torch.float32
    assert loaded(noisy(), 50).dtype == torch.float32


def test_weights_in_another_memory_format_are_saved(tmp_path):
    denoiser = unet()
    denoiser.network.to(memory_format=torch.channels_last)
    save_denoiser(denoiser, tmp_path / "model")
    assert torch.equal(load_denoiser(tmp_path / "model")(noisy(), 50), unet()(noisy(), 50))


def test_a_rectangular_unet_opens(saved):
    edit(saved / "unet" / "config.json", sample_size=[8, 16])
    assert load_denoiser(saved).shape == (3, 8, 16)


@pytest.mark.parametrize("covariance", [torch.tensor([0.5, 2.0]), torch.tensor([[1.0, 0.2], [0.2, 0.5]])])
def test_gaussians_of_both_kinds_come_back(tmp_path, covariance):
    denoiser = GaussianDenoiser(torch.tensor([0.1, 0.2]), covariance, SCHEDULE, (1, 1, 2))
    save_denoiser(denoiser, tmp_path / "model")
    loaded = load_denoiser(tmp_path / "model")
    x_t = torch.randn(3, 1, 1, 2, generator=generator())
    assert torch.equal(loaded(x_t, 30), denoiser(x_t, 30))


def test_float64_patterns_stay_float64(tmp_path):
    save_denoiser(ExactDenoiser(exact().patterns.double(), SCHEDULE), tmp_path / "model")
    loaded = load_denoiser(str(tmp_path / "model"), device="cpu")
    assert loaded.dtype == torch.float64
    assert torch.equal(loaded.patterns, exact().patterns.double())


def test_the_hash_is_that_of_weights_and_configurations(saved, tmp_path):
    first = folder_hash(saved)
    files = ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json", f"unet/{WEIGHTS}"]
    hashes = [hashlib.sha256((saved / name).read_bytes()).digest() for name in files]
    joined = b"".join(name.encode() + b"\0" + one for name, one in zip(files, hashes, strict=True))
    assert first == hashlib.sha256(joined).hexdigest()
    shutil.copytree(saved, tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "README.md").write_text("a word")
    (tmp_path / "elsewhere" / "folder.json").mkdir()
    (tmp_path / "elsewhere" / ".model_index.json.1a2b3c4d.json").write_text("left by a killed writer")
    assert folder_hash(str(tmp_path / "elsewhere")) == first
    edit(saved / "scheduler" / "scheduler_config.json", beta_end=0.02)
    second = folder_hash(saved)
    save_file({**load_file(saved / "unet" / WEIGHTS), "extra": torch.zeros(1)}, saved / "unet" / WEIGHTS)
    assert len({first, second, folder_hash(saved)}) == 3


def test_saving_replaces_what_was_there(saved, tmp_path):
    (saved / "old.txt").write_text("old")
    save_denoiser(unet(seed=1), saved)
    assert torch.equal(load_denoiser(saved)(noisy(), 50), unet(seed=1)(noisy(), 50))
    assert not (saved / "old.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_failed_save_leaves_the_old_model(saved, tmp_path, monkeypatch):
    def full(*arguments, **more):
        raise OSError("no space left on device")

    monkeypatch.setattr(module, "save_tensors", full)
    with pytest.raises(OSError, match="no space left"):
        save_denoiser(unet(seed=1), saved)
    assert torch.equal(load_denoiser(saved)(noisy(), 50), unet()(noisy(), 50))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_remains_of_a_killed_save_do_no_harm(saved, tmp_path):
    for name in (".model.new", ".model.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("half")
    save_denoiser(unet(seed=1), saved)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert not (saved / "half").exists()


def test_loading_and_saving_leave_the_global_generator_alone(saved):
    before = torch.random.get_rng_state()
    load_denoiser(saved)
    save_denoiser(unet(), saved)
    assert torch.equal(before, torch.random.get_rng_state())


class Explosive:
    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was opened')",))


def test_pickles_are_never_opened(saved):
    (saved / "unet" / WEIGHTS).unlink()
    (saved / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Explosive()))
    with pytest.raises(ValueError, match=r"unet has no .*; weights are read from safetensors files only"):
        load_denoiser(saved)


def cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


def forget_weight(path):
    weights = load_file(path)
    del weights["conv_in.bias"]
    save_file(weights, path)


def add_weight(path):
    save_file({**load_file(path), "extra": torch.zeros(1)}, path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: cut(f / "unet" / WEIGHTS, 1000), rf"{WEIGHTS} is damaged \("),
        (lambda f: cut(f / "unet" / WEIGHTS, -4), rf"{WEIGHTS} is damaged \("),
        (lambda f: cut(f / "unet" / WEIGHTS, 0), rf"{WEIGHTS} is damaged \("),
        (
            lambda f: forget_weight(f / "unet" / WEIGHTS),
            "1 weights do not fit its config.json, such as conv_in.bias",
        ),
        (lambda f: add_weight(f / "unet" / WEIGHTS), "1 weights do not fit its config.json, such as extra"),
        (lambda f: edit(f / "unet" / "config.json", block_out_channels=[8, 8]), "unet is damaged"),
        (lambda f: edit(f / "unet" / "config.json", norm_num_groups=3), "unet is damaged: its network"),
        (
            lambda f: edit(f / "unet" / "config.json", _class_name="UNet1DModel"),
            "'UNet1DModel' is not supported; known are UNet",
        ),
        (
            lambda f: edit(f / "unet" / "config.json", _class_name=None),
            "config.json is damaged: it does not say of which class",
        ),
        (
            lambda f: edit(f / "unet" / "config.json", sample_size=None),
            "needs a size and as many channels out as in",
        ),
        (lambda f: (f / "unet" / "config.json").write_text("{"), "config.json is damaged"),
        (
            lambda f: (f / "unet" / "config.json").write_text("[]"),
            "config.json is damaged: it does not say of which class",
        ),
        (lambda f: (f / "unet" / "config.json").unlink(), "unet is damaged: it has no config.json"),
        (lambda f: shutil.rmtree(f / "scheduler"), "scheduler_config.json is missing: the noise schedule"),
        (
            lambda f: (f / "scheduler" / "scheduler_config.json").write_text("{"),
            "scheduler_config.json is damaged",
        ),
        (lambda f: (f / "model_index.json").unlink(), "has neither a model_index.json beside `unet`"),
        (lambda f: shutil.rmtree(f), "is no model folder"),
    ],
)
def test_damaged_folders_give_one_sentence(saved, damage, message):
    damage(saved)
    with pytest.raises(ValueError, match=message) as caught:
        load_denoiser(saved)
    assert "\n" not in str(caught.value)
    assert str(saved) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"beta_schedule": "sigmoid"},
            "`beta_schedule`: input should be 'linear', 'scaled_linear' or 'squaredcos_cap_v2', got 'sig",
        ),
        (
            {"prediction_type": "flow"},
            "`prediction_type`: input should be 'epsilon', 'sample' or 'v_prediction'",
        ),
        ({"trained_betas": [0.1]}, r"`trained_betas`: must be null, as .* --samples`, got \[0.1\]\.$"),
        ({"trained_betas": "0.1"}, r"`trained_betas`: must be null, .*, got '0.1'\.$"),
        (
            {"rescale_betas_zero_snr": True},
            "`rescale_betas_zero_snr`: must be false, as a last step of pure noise says nothing",
        ),
        ({"thresholding": True}, "`thresholding`: must be false, as no sampler here has dynamic"),
        ({"variance_type": "learned"}, "`variance_type`: must be fixed, as no .* variance, got learned"),
        ({"variance_type": "learned_range"}, "`variance_type`: must be fixed, .* got learned_range"),
        ({"num_train_timesteps": None}, "the field `num_train_timesteps` is missing"),
        ({"num_train_timesteps": 0}, "`steps` must be at least 1, got 0"),
        ({"beta_end": 1e-5}, ".* got 0.0002 and 1e-05"),
    ],
)
def test_schedules_that_are_not_ours_are_refused(saved, change, message):
    edit(saved / "scheduler" / "scheduler_config.json", **change)
    with pytest.raises(ValueError, match=f"scheduler_config.json: {message}"):
        load_denoiser(saved)


@pytest.mark.parametrize(
    ("channels", "out", "message"),
    [
        (3, 6, r"twice as many channels out as in \(3 and 6\).* learned variance is not supported; draw its"),
        (1, 2, r"twice as many channels out as in \(1 and 2\).* own code and give them to `spurion audit"),
        (3, 4, "sample_size 8, 3 channels in and 4 out"),
    ],
)
def test_networks_with_other_outputs_are_refused(tmp_path, channels, out, message):
    with torch.random.fork_rng(devices=[]):
        network = UNet2DModel(
            sample_size=8,
            in_channels=channels,
            out_channels=out,
            block_out_channels=(8,),
            down_block_types=("DownBlock2D",),
            up_block_types=("UpBlock2D",),
            norm_num_groups=4,
        )
    network.save_pretrained(tmp_path)
    DDPMScheduler().save_config(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_denoiser(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: cut(f / "denoiser.safetensors", 20), "denoiser.safetensors is damaged"),
        (lambda f: (f / "denoiser.safetensors").unlink(), "denoiser.safetensors is damaged"),
        (lambda f: save_file({"x": torch.zeros(1)}, f / "denoiser.safetensors"), r"damaged \('patterns'\)"),
        (
            lambda f: (f / "denoiser.json").write_text('{"kind": "other"}'),
            "`kind`: input should be 'exact' or",
        ),
        (lambda f: shutil.rmtree(f / "scheduler"), "scheduler_config.json is missing"),
    ],
)
def test_damaged_closed_forms_give_one_sentence(tmp_path, damage, message):
    save_denoiser(exact(), tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_denoiser(tmp_path)


def test_only_known_denoisers_are_saved(tmp_path):
    strange = NetworkDenoiser(nn.Identity(), SCHEDULE, (2,))
    networks = "UNet2DModel, ResidualMLP, FourierResidual, FourierMLP"
    with pytest.raises(ValueError, match=f"with one of {networks} to be saved, got Identity"):
        save_denoiser(strange, tmp_path / "model")
    with pytest.raises(ValueError, match="must have a DDPMSchedule or a VESchedule to be saved, got Mute"):
        save_denoiser(ExactDenoiser(exact().patterns, Mute()), tmp_path / "model")
    assert not list(tmp_path.iterdir())


class Mute(Schedule):
    discrete, least_time, last_time = False, 1e-4, 1.0

    def alpha(self, t):
        return torch.ones_like(t, dtype=torch.float64)

    sigma = nearest = drift = calls = grid = ladder = alpha


def continuous_denoisers():
    patterns = torch.rand(3, 2, generator=generator())
    schedule = VESchedule(1.5)
    return [
        ExactDenoiser(patterns, schedule),
        GaussianDenoiser(torch.tensor([0.1, 0.2]), torch.tensor([0.5, 2.0]), schedule, (2,)),
        FourierMLPConfig(width=8).build(patterns, schedule, generator=generator()),
        FourierResidualConfig(width=8, blocks=1).build(patterns, schedule, generator=generator()),
    ]


@pytest.mark.parametrize("denoiser", continuous_denoisers(), ids=lambda d: type(d).__name__)
def test_continuous_time_comes_back(tmp_path, denoiser):
    save_denoiser(denoiser, tmp_path / "model")
    loaded = load_denoiser(tmp_path / "model")
    assert loaded.schedule == VESchedule(1.5)
    x_t = torch.randn(3, 2, generator=generator())
    for t in (0.15, torch.tensor([1e-5, 0.5, 1.0])):
        assert torch.equal(loaded(x_t, t), denoiser(x_t, t))
    files = {path.suffix for path in (tmp_path / "model").rglob("*") if path.is_file()}
    assert files == {".json", ".safetensors"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": None}, "the field `scale` is missing"),
        ({"scale": 0.0}, "`scale` must be positive, got 0.0"),
        ({"prediction_type": "flow"}, "`prediction_type`: input should be 'epsilon'"),
        ({"_class_name": "DDPMScheduler"}, "the field `num_train_timesteps` is missing"),
    ],
)
def test_damaged_continuous_schedules_are_refused(tmp_path, change, message):
    save_denoiser(continuous_denoisers()[2], tmp_path)
    edit(tmp_path / "scheduler" / "scheduler_config.json", **change)
    with pytest.raises(ValueError, match=f"scheduler_config.json: {message}"):
        load_denoiser(tmp_path)


def test_an_mlp_for_vectors_comes_back(tmp_path):
    denoiser = MLPConfig(width=8, blocks=1).build(torch.zeros(1, 5), SCHEDULE, generator=generator())
    save_denoiser(denoiser, tmp_path / "model")
    loaded = load_denoiser(tmp_path / "model")
    assert loaded.shape == (5,)
    x_t = torch.randn(2, 5, generator=generator())
    assert torch.equal(loaded(x_t, 30), denoiser(x_t, 30))


def test_every_file_has_the_permissions_of_the_umask(tmp_path):
    mask = os.umask(0o027)
    try:
        save_denoiser(unet(), tmp_path / "model")
        save_denoiser(exact(), tmp_path / "exact")
    finally:
        os.umask(mask)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o640}
