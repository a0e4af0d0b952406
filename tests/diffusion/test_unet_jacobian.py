"""Derivatives of every kind of U-Net, against one backward pass for each coordinate."""

import pytest
import torch

from spurion.core.random import generator
from spurion.diffusion import jacobian as module
from spurion.diffusion.jacobian import (
    JacobianProducts,
    denoise_and_jacobian,
    denoise_and_traces,
    random_signs,
)
from unets import UNETS, jacobian, unet

T = 300


def normal(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=generator(0, "normal"), dtype=torch.float64).to(dtype)


def close(found, expected):
    # Sums of about a hundred numbers near 1, rounded at 1e-16.
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)


def products_of(denoiser, x):
    return JacobianProducts(lambda items: denoiser(items, T), x)


@pytest.mark.filterwarnings("error:There is a performance drop")
@pytest.mark.parametrize("kind", UNETS)
def test_every_u_net_has_all_products(kind):
    denoiser = unet(kind)
    x, vectors = normal(2, *denoiser.shape), normal(5, 2, *denoiser.shape)
    products, flat = products_of(denoiser, x), vectors.flatten(2)
    matrix = jacobian(lambda items: denoiser(items, T), x)
    assert not torch.allclose(matrix, matrix.mT, atol=1e-6)
    close(products.pull(vectors).flatten(2), torch.einsum("mni,nij->mnj", flat, matrix))
    close(products.push(vectors).flatten(2), torch.einsum("mnj,nij->mni", flat, matrix))
    assert (len(products._pull_ways), len(products._push_ways)) == (2, 2)  # the fast ones suffice
    x_hat, found = denoise_and_jacobian(denoiser, x, T)
    close(found, matrix)
    close(x_hat, denoiser(x, T).detach())
    close(denoise_and_traces(denoiser, x, T)[1][:, 0], matrix.diagonal(dim1=1, dim2=2).sum(1))
    signs = random_signs(3, x, generator=generator(0, "signs"))
    forms = torch.einsum("mni,nij,mnj->nm", signs.flatten(2), matrix, signs.flatten(2))
    close(denoise_and_traces(denoiser, x, T, signs)[1], forms)


@pytest.mark.parametrize("kind", ["attention", "6 x 10", "scale and shift", "mish"])
def test_traces_in_float32(kind):
    denoiser = unet(kind, torch.float32)
    x = normal(2, *denoiser.shape, dtype=torch.float32)
    matrix = jacobian(lambda items: denoiser(items, T), x).double()
    # Each of D numbers near 1 is rounded at 1e-7, after a few layers at 1e-6.
    expected = matrix.diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(denoise_and_traces(denoiser, x, T)[1][:, 0], expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kept", [1, 2 * 60, 4 * 60, 10**9])
def test_reverse_mode_alone_gives_the_same(kept, monkeypatch):
    monkeypatch.setattr(module, "_KEPT", kept)
    denoiser = unet("6 x 10")
    x, vectors = normal(2, *denoiser.shape), normal(5, 2, *denoiser.shape)
    fast, slow = products_of(denoiser, x), products_of(denoiser, x)
    del slow._pull_ways[0], slow._push_ways[0]
    close(slow.pull(vectors), fast.pull(vectors))
    close(slow.push(vectors), fast.push(vectors))


def test_reverse_mode_shares_one_pass_forward(monkeypatch):
    seen = []

    def function(items):
        seen.append(len(items))
        return items.sin()

    monkeypatch.setattr(module, "_KEPT", 12)  # two repetitions of two items of three numbers
    products = JacobianProducts(function, normal(2, 3))
    del products._pull_ways[0], products._push_ways[0]
    products.pull(normal(7, 2, 3))
    products.push(normal(1, 2, 3))
    assert seen == [4, 2]


@pytest.mark.parametrize("product", ["pull", "push"])
def test_want_of_memory_is_no_missing_way(product):
    calls = []

    def function(items):
        calls.append(len(items))
        raise torch.OutOfMemoryError("no room for the graph")

    with pytest.raises(torch.OutOfMemoryError, match="no room for the graph"):
        getattr(JacobianProducts(function, normal(2, 3)), product)(normal(1, 2, 3))
    assert calls == [2]


@pytest.mark.parametrize("product", ["pull", "push"])
def test_what_no_way_can_is_told(product):
    def function(items):
        raise RuntimeError("a broken layer")

    with pytest.raises(RuntimeError, match="a broken layer"):
        getattr(JacobianProducts(function, normal(2, 3)), product)(normal(1, 2, 3))


def test_an_answer_that_does_not_depend_on_the_question():
    products = JacobianProducts(lambda items: torch.ones_like(items), normal(2, 3))
    assert not products.pull(normal(4, 2, 3)).any()
    assert not products.push(normal(4, 2, 3)).any()
