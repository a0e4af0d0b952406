import math

import pytest
import torch
from torch import nn

from spurion.diffusion.denoisers.initialize import initialized
from spurion.diffusion.denoisers.mlp import ResidualMLP
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.schedule import DDPMSchedule

SCHEDULE = DDPMSchedule()


def random_stream(seed=0):
    return torch.Generator().manual_seed(seed)


def a_network(shape=(1, 8, 8), seed=0, **fields):
    return MLPConfig(**fields).build(torch.zeros(3, *shape), SCHEDULE, generator=random_stream(seed)).network


def test_size_of_the_digits_network():
    assert sum(p.numel() for p in a_network().parameters()) == 124_097


def silent(network):
    for layer in (network.outward, network.gain):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return network


def test_with_a_silent_network_the_prediction_is_the_linear_skip():
    network = silent(a_network())
    t = torch.tensor([0, 10, 500, 999])
    x_t = torch.randn(4, 1, 8, 8, generator=random_stream())
    expected = SCHEDULE.sigma(t).float().view(-1, 1, 1, 1) * x_t
    assert torch.equal(network(x_t, t), expected)
    nn.init.ones_(network.outward.bias)
    alpha = SCHEDULE.alpha(t).float().view(-1, 1, 1, 1)
    assert torch.equal(network(x_t, t), expected + alpha)
    nn.init.constant_(network.gain.bias, math.log(2))
    torch.testing.assert_close(network(x_t, t), expected + 2 * alpha, atol=1e-6, rtol=0)


def test_the_gain_is_a_number_for_each_time():
    network = silent(a_network())
    nn.init.ones_(network.outward.bias)
    with torch.no_grad():
        network.gain.weight.normal_(generator=random_stream())
    t = torch.tensor([10, 10, 500])
    x_t = torch.randn(3, 1, 8, 8, generator=random_stream())
    alpha, sigma = (value.float().view(-1, 1, 1, 1) for value in (SCHEDULE.alpha(t), SCHEDULE.sigma(t)))
    gain = (network(x_t, t) - sigma * x_t) / alpha
    torch.testing.assert_close(gain, gain[:, :1, :1, :1].expand_as(gain), atol=1e-5, rtol=0)
    assert abs(gain[0, 0, 0, 0] - gain[1, 0, 0, 0]) < 1e-5 < abs(gain[0, 0, 0, 0] - gain[2, 0, 0, 0])


def test_blocks_see_the_direction_of_their_input_not_its_size():
    block = a_network().residual[0]
    hidden, embedding = (torch.randn(4, 128, generator=random_stream(seed)) for seed in (0, 1))
    update = block(hidden, embedding) - hidden
    larger = block(100 * hidden + 5, embedding) - (100 * hidden + 5)
    # The normalization adds 1e-5 to a variance of 1; the subtraction of numbers of size 500 loses 1e-4.
    torch.testing.assert_close(update, larger, atol=2e-4, rtol=0)


def test_the_skip_is_the_schedule_the_network_was_built_for():
    schedule = DDPMSchedule(steps=5, beta_start=0.1, beta_end=0.3)
    network = MLPConfig(width=4).build(torch.zeros(1, 2), schedule, generator=random_stream()).network
    assert network.config.steps == 5
    t = torch.arange(5)
    torch.testing.assert_close(network.sigma.flatten().double(), schedule.sigma(t), atol=1e-7, rtol=0)
    torch.testing.assert_close(network.alpha.flatten().double(), schedule.alpha(t), atol=1e-7, rtol=0)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 4, 4), (7,)])
def test_any_item_shape(shape):
    network = a_network(shape, width=8, blocks=1)
    x_t, t = torch.randn(5, *shape, generator=random_stream()), torch.arange(5)
    together = network(x_t, t)
    assert together.shape == x_t.shape
    alone = torch.cat([network(x_t[i : i + 1], t[i : i + 1]) for i in range(5)])
    # Rounding of float32 sums of 8 terms.
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_time_and_image_matter_in_every_part():
    network = a_network()
    x_t = torch.randn(2, 1, 8, 8, generator=random_stream())
    one, other = network(x_t, torch.tensor([100, 100])), network(x_t, torch.tensor([100, 900]))
    assert torch.equal(one[0], other[0])
    assert not torch.equal(one[1], other[1])
    one.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())


def test_save_and_load_through_diffusers(tmp_path):
    network = a_network(width=16, blocks=2)
    network.save_pretrained(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    with torch.random.fork_rng():
        loaded = ResidualMLP.from_pretrained(tmp_path)
    x_t, t = torch.randn(2, 1, 8, 8, generator=random_stream()), torch.tensor([3, 700])
    assert torch.equal(network(x_t, t), loaded(x_t, t))


def test_weights_are_a_function_of_the_generator_alone():
    one, same, other = (list(a_network(seed=seed).parameters()) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("field", ["width", "blocks"])
def test_a_network_has_at_least_one_of_each(field):
    with pytest.raises(ValueError, match=f"{field}\n.*greater than or equal to 1"):
        MLPConfig(**{field: 0})


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Linear(300, 50),
        lambda: nn.Linear(300, 50, bias=False),
        lambda: nn.Conv2d(30, 60, 3, groups=3),
    ],
)
def test_linear_layers_are_uniform_as_in_torch(build):
    ours = initialized(build, generator=random_stream())
    with torch.random.fork_rng():
        theirs = build()
    for mine, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert mine.shape == reference.shape
        bound = (ours.weight.shape[1] * ours.weight[0, 0].numel()) ** -0.5
        values = mine.detach().flatten()
        assert values.abs().max() <= bound
        assert reference.abs().max() <= bound
        # Variance of a uniform law, b^2 / 3; its standard error is b^2 sqrt(4 / 45 n).
        assert abs(values.square().mean() - bound**2 / 3) < 5 * bound**2 * (4 / 45 / len(values)) ** 0.5
        assert abs(values.mean()) < 5 * bound / (3 * len(values)) ** 0.5


def test_normalizations_and_embeddings_as_in_torch():
    network = initialized(
        lambda: nn.ModuleList(
            [nn.GroupNorm(2, 6), nn.LayerNorm(5), nn.LayerNorm(4, elementwise_affine=False)]
        ),
        generator=random_stream(),
    )
    assert all((p == (1 if name.endswith("weight") else 0)).all() for name, p in network.named_parameters())
    table = initialized(lambda: nn.Embedding(100, 50), generator=random_stream()).weight.detach()
    # 5,000 standard normal numbers: standard errors sqrt(1 / 5000) and sqrt(2 / 5000).
    assert abs(table.mean()) < 5 / 5000**0.5
    assert abs(table.var() - 1) < 5 * (2 / 5000) ** 0.5


def test_a_frozen_parameter_stays_frozen():
    layer = initialized(lambda: nn.Linear(2, 2).requires_grad_(False), generator=random_stream())
    assert not any(p.requires_grad for p in layer.parameters())


def test_an_unknown_layer_is_refused():
    with pytest.raises(ValueError, match="A layer of kind Bilinear has no initial law"):
        initialized(lambda: nn.Sequential(nn.Bilinear(2, 2, 2)), generator=random_stream())
