"""Dropout with cheap bits has the law of dropout."""

import pytest
import torch
from diffusers.models.resnet import ResnetBlock2D

from spurion.diffusion.denoisers.dropout import Dropout
from spurion.diffusion.denoisers.unet import UNetConfig

N = 2**20


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_share_that_is_kept_and_its_size(rate):
    y = Dropout(rate)(torch.ones(N))
    kept = y[y != 0]
    # binomial: five standard errors; the size is 1 / q with |q - (1 - p)| <= 2^-17
    assert abs(len(kept) / N - (1 - rate)) < 5 * (rate * (1 - rate) / N) ** 0.5
    assert kept.unique().numel() == 1
    assert 1 / kept[0].item() == pytest.approx(1 - rate, abs=2.0**-17 + 1e-7)


def test_coordinates_are_dropped_independently():
    kept = (Dropout(0.5)(torch.ones(N)) != 0).double() - 0.5
    for lag in (1, 2, 3, 4, 5, 8, 64):  # four coordinates come from one draw
        product = (kept[lag:] * kept[:-lag]).mean() * 4
        assert abs(product) < 5 / (N - lag) ** 0.5
    for lane in range(4):
        assert abs(kept[lane::4].mean() * 2) < 5 / (N / 4) ** 0.5


@pytest.mark.parametrize("shape", [(1,), (7,), (2, 3, 5, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shape_type_and_values_stay(shape, dtype):
    x = torch.randn(shape).to(dtype)
    y = Dropout(0.3)(x)
    assert (y.shape, y.dtype) == (x.shape, dtype)
    # a factor and a product rounded to the type; and q is not quite 0.7
    bound = 4 * torch.finfo(dtype).eps + 2.0**-17 / 0.7
    assert torch.where(y == 0, 0, x.float() / 0.7 - y.float()).abs().max() <= bound * x.abs().max() / 0.7


def test_the_gradient_has_the_same_zeros():
    x = torch.randn(1000, requires_grad=True)
    y = Dropout(0.4)(x)
    y.sum().backward()
    assert torch.equal(x.grad == 0, y == 0)
    assert torch.equal(x.grad, torch.where(y == 0, 0, x.grad.max()))


def test_a_seed_decides():
    layer, x = Dropout(0.5), torch.ones(100)
    torch.manual_seed(3)
    first = layer(x)
    assert not torch.equal(layer(x), first)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)


def test_without_training_and_at_the_ends_it_is_torchs():
    x = torch.randn(100)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert torch.equal(Dropout(1.0)(x), torch.zeros(100))
    assert torch.isfinite(Dropout(1 - 1e-9)(x)).all()


def test_u_nets_use_it():
    network = UNetConfig(channels=4, multipliers=(1, 1), blocks=1, groups=2, dropout=0.25).network((1, 8, 8))
    blocks = [block for block in network.modules() if isinstance(block, ResnetBlock2D)]
    assert blocks
    assert {(type(block.dropout), block.dropout.p) for block in blocks} == {(Dropout, 0.25)}
