"""What every denoiser must do; a new kind is tested from the moment it is in the dictionary."""

import pytest
import torch

from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers import DENOISERS
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.folder import load_denoiser, save_denoiser
from spurion.diffusion.samplers import SamplerConfig, sample
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.training import train
from spurion.diffusion.training_config import TrainingConfig

SMALL = {
    "mlp": {"width": 128, "blocks": 2},
    "unet": {
        "channels": 8,
        "groups": 4,
        "multipliers": (1, 2),
        "blocks": 1,
        "attention": (4,),
        "dropout": 0.1,
    },
    "fourier-residual": {"width": 128, "blocks": 1},
    "fourier-mlp": {"width": 256, "scale": 1.0},
}
# A network without a skip from its input to its output must learn the identity first.
PATIENT = {"fourier-mlp": {"iterations": 1000, "learning_rate": 2e-3}}
SCHEDULE = DDPMSchedule(200, 5e-4, 0.1)
TIMES = (0, 100, 199)
EVERY_KIND = pytest.mark.parametrize("kind", DENOISERS)


def config(kind):
    return DENOISERS[kind](**SMALL.get(kind, {}))


def images(count=6):
    return torch.rand(count, 1, 8, 8, generator=generator(0, "images")) * 2 - 1


def build(kind, count=6, seed=0):
    return config(kind).build(images(count), SCHEDULE, generator=generator(seed, "weights"))


def noisy(count=4):
    return torch.randn(count, 1, 8, 8, generator=generator(0, "noisy"))


@EVERY_KIND
def test_a_configuration_names_its_kind(kind):
    assert config(kind).kind == kind
    assert type(config(kind)).model_validate_json(config(kind).model_dump_json()) == config(kind)


@EVERY_KIND
def test_a_denoiser_knows_what_it_is_for(kind):
    denoiser = build(kind)
    assert isinstance(denoiser, Denoiser)
    assert (denoiser.schedule, denoiser.shape) == (SCHEDULE, (1, 8, 8))
    assert (denoiser.dtype, denoiser.device) == (torch.float32, torch.device("cpu"))


@EVERY_KIND
def test_shapes_and_dtype(kind):
    denoiser = build(kind)
    for t in (*TIMES, torch.tensor(3), torch.tensor([0, 5, 100, 199])):
        x_hat = denoiser(noisy(), t)
        assert (x_hat.shape, x_hat.dtype) == ((4, 1, 8, 8), torch.float32)
        assert x_hat.isfinite().all()


@EVERY_KIND
def test_an_item_does_not_depend_on_its_batch_mates(kind):
    denoiser = build(kind)
    mates = noisy()
    times = torch.tensor([100, 0, 199, 150])
    together = denoiser(mates, times)
    mates[1:] = 50.0
    assert torch.allclose(denoiser(mates, times)[0], together[0], atol=1e-5)
    for i, t in enumerate(times):
        assert torch.allclose(denoiser(noisy()[i : i + 1], int(t))[0], together[i], atol=1e-4, rtol=1e-4)


@EVERY_KIND
def test_the_same_input_gives_the_same_output(kind):
    denoiser = build(kind)
    assert torch.equal(denoiser(noisy(), 100), denoiser(noisy(), 100))


@EVERY_KIND
@pytest.mark.parametrize("t", TIMES)
def test_gradients_are_finite_and_right(kind, t):
    denoiser = build(kind)
    x_t = noisy(2).requires_grad_()
    direction = torch.randn(2, 1, 8, 8, generator=generator(0, "direction"))
    (gradient,) = torch.autograd.grad((denoiser(x_t, t) * direction).sum(), x_t)
    assert gradient.isfinite().all()
    step = 1e-2 * torch.randn(2, 1, 8, 8, generator=generator(0, "step"))
    with torch.no_grad():
        change = ((denoiser(x_t + step, t) - denoiser(x_t - step, t)) * direction).sum() / 2
    scale = max(1.0, abs(float(change)))
    assert abs(float((gradient * step).sum() - change)) < 0.02 * scale


@EVERY_KIND
def test_building_is_a_function_of_the_generator(kind):
    first, again = build(kind, seed=3), build(kind, seed=3)
    assert torch.equal(first(noisy(), 100), again(noisy(), 100))
    if isinstance(first, NetworkDenoiser):
        assert not torch.equal(first(noisy(), 100), build(kind, seed=4)(noisy(), 100))


@EVERY_KIND
def test_saved_and_loaded_is_the_same(kind, tmp_path):
    denoiser = build(kind)
    save_denoiser(denoiser, tmp_path / "model")
    loaded = load_denoiser(tmp_path / "model")
    assert type(loaded) is type(denoiser)
    assert (loaded.schedule, loaded.shape, loaded.dtype) == (SCHEDULE, (1, 8, 8), torch.float32)
    for t in TIMES:
        assert torch.equal(loaded(noisy(), t), denoiser(noisy(), t))
    save_denoiser(loaded, tmp_path / "again")
    files = [path for path in (tmp_path / "model").rglob("*") if path.is_file()]
    assert len(files) >= 3
    for path in files:
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "model")).read_bytes()


@EVERY_KIND
def test_one_pattern_is_learned(kind, tmp_path):
    pattern = images(1)
    fast = {"iterations": 200, "learning_rate": 5e-3} | PATIENT.get(kind, {})
    training = TrainingConfig(batch_size=32, warmup=10, ema_decay=0.9, device="cpu", **fast)
    denoiser = train(pattern, config(kind), training, schedule=SCHEDULE, seed=0, folder=tmp_path)
    samples = sample(denoiser, 16, SamplerConfig(steps=20), seed=0)
    error = (samples - pattern).square().mean().sqrt()
    untrained = sample(build(kind, count=6), 16, SamplerConfig(steps=20), seed=0)
    assert error < 0.4  # the root mean square of the pattern itself is 0.58
    assert error < 0.4 * (untrained - pattern).square().mean().sqrt()
