import copy

import pytest
import torch
from torch import nn

from spurion.diffusion.flat import FlatParameters


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.SiLU(), nn.Flatten(), nn.Linear(16, 2)
        )


def inputs():
    return torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_network_computes_what_it_did_and_gathers_its_gradients(channels_last):
    plain = network()
    shared = copy.deepcopy(plain)
    flat = FlatParameters(shared, channels_last=channels_last)
    assert flat.vector.numel() == sum(p.numel() for p in plain.parameters())
    for model in (plain, shared):
        model(inputs()).square().sum().backward()
    for one, other in zip(plain.parameters(), shared.parameters(), strict=True):
        assert torch.equal(one, other)
        # Rounding of sums of some hundred float32 terms of size 1.
        torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-5)
    assert flat.gradient.square().sum().item() == pytest.approx(
        sum(p.grad.square().sum().item() for p in plain.parameters()), rel=1e-5
    )
    kernel = shared[0].weight
    assert kernel.is_contiguous(memory_format=torch.channels_last) == channels_last


@pytest.mark.parametrize("channels_last", [False, True])
def test_vector_and_layers_are_the_same_memory(channels_last):
    shared = network()
    flat = FlatParameters(shared, channels_last=channels_last)
    with torch.no_grad():
        flat.vector.fill_(2.0)
    assert all((p == 2).all() for p in shared.parameters())
    shared(inputs()).sum().backward()
    assert flat.gradient.any()
    flat.gradient.zero_()
    assert not any(p.grad.any() for p in shared.parameters())
    assert flat.vector.grad is flat.gradient


def test_an_optimizer_on_the_vector_moves_every_layer_as_one_on_the_layers_does():
    plain = network().double()
    shared = copy.deepcopy(plain)
    flat = FlatParameters(shared, channels_last=True)
    ours = torch.optim.AdamW([flat.vector], lr=0.01, fused=True)
    theirs = torch.optim.AdamW(plain.parameters(), lr=0.01, foreach=False)
    for _ in range(5):
        for model, optimizer in ((plain, theirs), (shared, ours)):
            model.zero_grad(set_to_none=False)
            model(inputs().double()).square().sum().backward()
            optimizer.step()
    for one, other in zip(plain.parameters(), shared.parameters(), strict=True):
        # Five Adam steps; rounding of float64 magnified by g / sqrt(g^2).
        torch.testing.assert_close(one, other, atol=1e-9, rtol=0)
