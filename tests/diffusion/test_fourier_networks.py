import math

import pytest
import torch
from torch import nn

from spurion.diffusion.denoisers.fourier import FourierTime
from spurion.diffusion.denoisers.fourier_mlp import FourierMLP
from spurion.diffusion.denoisers.fourier_residual import FourierResidual
from spurion.diffusion.denoisers.network_config import FourierMLPConfig, FourierResidualConfig, MLPConfig
from spurion.diffusion.schedule import DDPMSchedule, VESchedule

CONFIGS = {"residual": FourierResidualConfig(width=8, blocks=2), "mlp": FourierMLPConfig(width=8)}
BOTH = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def build(config, schedule=None, shape=(2,), seed=0):
    return config.build(torch.zeros(3, *shape), schedule or VESchedule(), generator=stream(seed))


def test_features_are_sines_and_cosines_of_cycles():
    time = FourierTime(4)
    time.frequencies.copy_(torch.tensor([0.5, 1.0]))
    features = time(torch.tensor([0.0, 0.5]))
    expected = torch.tensor([[0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, -1.0]])
    torch.testing.assert_close(features, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("scale", [0.3, 16.0])
def test_frequencies_are_normal_with_the_scale_and_not_trained(scale):
    network = build(FourierMLPConfig(width=4000, scale=scale)).network
    frequencies = network.time.frequencies / scale
    # 2,000 standard normal numbers: standard errors sqrt(1 / 2000) and sqrt(2 / 2000).
    assert abs(frequencies.mean()) < 5 / 2000**0.5
    assert abs(frequencies.var() - 1) < 5 * (2 / 2000) ** 0.5
    assert not any("frequencies" in name for name, _ in network.named_parameters())
    assert "time.frequencies" in network.state_dict()


def test_sizes_of_the_paper_and_of_the_code():
    def numbers(*layers):
        return sum(inputs * outputs + outputs for inputs, outputs in layers)

    ours = count(build(FourierResidualConfig()).network)
    assert ours == numbers((2, 256), (256, 256), *[(256, 256)] * 16, (256, 2))
    ours = count(build(FourierMLPConfig()).network)
    assert ours == numbers((128, 128), (128, 128), (130, 128), *[(128, 128)] * 3, (128, 2))
    assert FourierMLPConfig().scale == 16
    assert len(build(FourierMLPConfig()).network.time.frequencies) == 64


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_the_perceptron_reads_time_and_the_fraction_of_steps():
    continuous = build(FourierMLPConfig(width=8)).network
    with torch.random.fork_rng(devices=[]):
        discrete = FourierMLP(shape=(2,), width=8, steps=50)
    discrete.load_state_dict(continuous.state_dict())
    x = torch.randn(3, 2, generator=stream())
    t = torch.tensor([0, 24, 49])
    torch.testing.assert_close(discrete(x, t), continuous(x, torch.tensor([0.02, 0.5, 1.0])))


def test_the_residual_network_reads_the_logarithm_of_the_noise():
    schedule = DDPMSchedule(50, 1e-3, 0.2)
    continuous = build(FourierResidualConfig(width=8, blocks=1, scale=1.0)).network
    with torch.random.fork_rng(devices=[]):
        discrete = FourierResidual((2,), 8, 1, steps=50, beta_start=1e-3, beta_end=0.2)
    discrete.load_state_dict(continuous.state_dict())
    x, t = torch.randn(3, 2, generator=stream()), torch.tensor([0, 24, 49])
    noise = (schedule.sigma(t) / schedule.alpha(t)).square().float()
    torch.testing.assert_close(discrete(x, t), continuous(x, noise), atol=1e-5, rtol=1e-5)


def test_the_encoder_reaches_the_opposite_decoder_block():
    network = build(FourierResidualConfig(width=8, blocks=2)).network
    for block in (*network.encoder, *network.decoder):
        nn.init.zeros_(block.second.weight)
        nn.init.zeros_(block.second.bias)
    x, t = torch.randn(3, 2, generator=stream()), torch.tensor([0.1, 0.5, 1.0])
    hidden = network.inward(x)
    for _ in range(2):
        hidden = (hidden + network.inward(x)) / math.sqrt(2)
    torch.testing.assert_close(network(x, t), network.outward(nn.functional.silu(hidden)))
    nn.init.ones_(network.encoder[0].second.bias)  # passed to the last decoder block, and through the second
    later = network.inward(x) + 1
    hidden = (later + later) / math.sqrt(2)
    hidden = (hidden + later) / math.sqrt(2)
    torch.testing.assert_close(network(x, t), network.outward(nn.functional.silu(hidden)))


@BOTH
@pytest.mark.parametrize("schedule", [VESchedule(2.0), DDPMSchedule(20, 1e-3, 0.3)], ids=["ve", "ddpm"])
@pytest.mark.parametrize("shape", [(2,), (3, 5, 5)])
def test_both_schedules_and_any_shape(config, schedule, shape):
    denoiser = build(config, schedule, shape)
    x = torch.randn(4, *shape, generator=stream())
    times = (
        torch.tensor([0, 3, 10, 19])
        if isinstance(schedule, DDPMSchedule)
        else torch.tensor([1e-5, 0.1, 0.5, 1])
    )
    together = denoiser(x, times)
    assert together.shape == x.shape
    for i, t in enumerate(times):
        torch.testing.assert_close(denoiser(x[i : i + 1], t)[0], together[i], atol=1e-5, rtol=1e-5)
    assert not torch.equal(denoiser(x[:1], times[0]), denoiser(x[:1], times[1]))


@BOTH
def test_a_time_as_a_number_is_the_time_as_a_tensor(config):
    denoiser = build(config)
    x = torch.randn(2, 2, generator=stream())
    assert torch.equal(denoiser(x, 0.25), denoiser(x, torch.tensor(0.25)))


@BOTH
def test_every_part_learns(config):
    network = build(config).network
    out = network(torch.randn(5, 2, generator=stream()), torch.linspace(0.1, 1, 5))
    out.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("kind", [FourierMLPConfig, FourierResidualConfig])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 3}, "multiple of 2"),
        ({"width": 0}, "greater than or equal to 2"),
        ({"scale": 0}, "greater than 0"),
    ],
)
def test_bad_configurations_are_refused(kind, values, message):
    with pytest.raises(ValueError, match=message):
        kind(**values)


def test_the_small_mlp_says_that_it_knows_steps_only():
    with pytest.raises(ValueError, match="be a DDPMSchedule for the network mlp, got VESchedule; choose"):
        MLPConfig().build(torch.zeros(1, 2), VESchedule(), generator=stream())
