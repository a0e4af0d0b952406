"""Known answers: two patterns in closed form, and the log-density written out and differentiated."""

import math

import pytest
import torch

from spurion.core.random import generator
from spurion.memory.attention import covariance_product, posterior
from spurion.memory.dense import DenseAM, inverse_temperature
from spurion.memory.logits import Patterns


def log_density_by_hand(x, patterns, sigma):
    squares = (x[:, None] - patterns).square().sum(-1)
    normal = -squares / (2 * sigma**2) - 0.5 * patterns.shape[1] * math.log(2 * math.pi * sigma**2)
    return torch.logsumexp(normal, dim=1) - math.log(len(patterns))


def noisy_patterns(dim, sigma, count=20, number=50, offset=3.0, dtype=torch.float64):
    rng = generator(0, "dense", dim)
    patterns = torch.randn(number, dim, generator=rng, dtype=torch.float64).to(dtype) + offset
    noise = torch.randn(count, dim, generator=rng, dtype=torch.float64).to(dtype)
    return patterns, patterns[:count] + sigma * noise


def exact_score(x, patterns, sigma):
    x = x.double().requires_grad_()
    value = log_density_by_hand(x, patterns.double(), sigma)
    return value.detach(), torch.autograd.grad(value.sum(), x)[0]


SIGMAS = [1e-4, 1e-3, 1e-2, 0.1, 0.3, 1.0, 10.0, 1e2, 1e4]


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("dim", [1, 2, 16, 17, 64, 784])
def test_score_is_the_gradient_of_the_log_density_in_float64(dim, sigma):
    patterns, x = noisy_patterns(dim, sigma)
    value, score = exact_score(x, patterns, sigma)
    memory = DenseAM(patterns, inverse_temperature(sigma))
    found = memory.score(x)
    assert ((found - score).norm(dim=1) <= 1e-10 * score.norm(dim=1)).all()
    # The log-density cancels against its constant, so its error counts against the larger part.
    scale = value.abs() + dim * abs(math.log(sigma)) + 1
    assert ((memory.log_density(x) - value).abs() <= 1e-12 * scale).all()


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("dim", [2, 784])
def test_score_is_right_in_float32(dim, sigma):
    # Rounding of x alone moves the score by eps |x| / sigma^2, so the truth is taken at the rounded data.
    patterns, x = noisy_patterns(dim, sigma, dtype=torch.float32)
    _, score = exact_score(x, patterns, sigma)
    found = DenseAM(patterns, inverse_temperature(sigma)).score(x)
    assert found.dtype == torch.float32
    assert ((found - score).norm(dim=1) <= 1e-4 * score.norm(dim=1)).all()


def test_float32_weights_between_near_copies_need_subtraction():
    # Two images that differ by 0.02 in one pixel, at noise 0.01: the logit difference is O(1), while a
    # product of float32 images in [-1, 1] with D = 784 has an error of that size.
    rng = generator(0, "copies")
    first = torch.rand(1, 784, generator=rng) * 2 - 1
    second = first.clone()
    second[0, 0] += 0.02
    others = torch.rand(200, 784, generator=rng) * 2 - 1
    patterns = torch.cat([first, second, others])
    x = first + 0.01 * torch.randn(30, 784, generator=rng)
    memory = DenseAM(patterns, inverse_temperature(0.01))
    squares = (x.double()[:, None] - patterns.double()).square().sum(-1)
    truth = torch.softmax(-memory.beta * squares, dim=1)
    assert float((memory.weights(x) - truth).abs().max()) < 1e-5
    assert 0.1 < float(truth[:, 1].mean()) < 0.9
    naive = torch.softmax(memory.beta * (2 * x @ patterns.T - patterns.square().sum(1)), dim=1)
    assert float((naive - truth).abs().max()) > 0.02


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [2, 100])
@pytest.mark.parametrize("beta", [1e-6, 1.0, 1e8])
def test_a_query_on_a_pattern_feels_no_force_from_itself(dim, beta, dtype):
    patterns = torch.zeros(1, dim, dtype=dtype) + 0.3
    memory = DenseAM(patterns, beta)
    result = memory.posterior(patterns)
    assert torch.equal(result.shift, torch.zeros_like(patterns))
    assert torch.equal(result.mean, patterns)
    assert torch.equal(result.log_partition, torch.zeros(1, dtype=dtype))


@pytest.mark.parametrize("dim", [2, 40])
@pytest.mark.parametrize("beta", [1e-6, 1e-2, 1.0, 30.0, 1e8])
def test_weights_and_occupation_against_a_softmax(dim, beta):
    rng = generator(0, "weights", dim)
    patterns = torch.randn(60, dim, generator=rng, dtype=torch.float64)
    x = torch.randn(7, dim, generator=rng, dtype=torch.float64)
    truth = torch.softmax(-beta * (x[:, None] - patterns).square().sum(-1), dim=1)
    memory = DenseAM(Patterns(patterns, memory=1), beta)
    assert torch.allclose(memory.weights(x), truth, rtol=1e-9, atol=1e-14)
    found = memory.occupation(x)
    assert torch.allclose(found.effective_number, 1 / truth.square().sum(1), rtol=1e-9)
    assert torch.allclose(memory.effective_number(x), found.effective_number)
    assert torch.allclose(found.top_weight, truth.amax(1), rtol=1e-9)
    assert torch.equal(found.top_pattern, truth.argmax(1))


def test_exact_copies_share_their_weight():
    patterns = torch.tensor([[0.0, 0.0], [0.0, 0.0], [5.0, 0.0]], dtype=torch.float64)
    found = DenseAM(patterns, 10.0).occupation(torch.zeros(1, 2, dtype=torch.float64))
    assert float(found.effective_number) == pytest.approx(2)
    assert float(found.top_weight) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("dim", "beta"), [(2, 3.0), (17, 1.0), (64, 0.02), (64, 2.0), (784, 0.003), (784, 0.2)]
)
def test_hessian_and_jacobian_against_autograd(dim, beta):
    rng = generator(0, "hessian", dim)
    patterns = torch.randn(12, dim, generator=rng, dtype=torch.float64)
    x = patterns[:2] * 0.5 + patterns[2:4] * 0.5  # between two patterns, where the covariance is large
    memory = DenseAM(patterns, beta)

    def energy(y):
        return -torch.logsumexp(-beta * (y - patterns).square().sum(-1), 0) / beta

    truth = torch.stack([torch.func.hessian(energy)(y) for y in x])
    hessian = memory.hessian(x)
    assert torch.allclose(hessian, truth, rtol=0, atol=1e-10 * float(truth.abs().max()))
    score_jacobian = torch.func.vmap(torch.func.jacfwd(lambda y: memory.score(y[None])[0]))(x)
    assert torch.allclose(score_jacobian, -beta * hessian, rtol=0, atol=1e-10 * beta)
    assert float(torch.linalg.eigvalsh(hessian).max()) <= 2 + 1e-12


@pytest.mark.parametrize(("dim", "beta"), [(2, 3.0), (20, 0.04), (20, 2.0)])
def test_derivatives_in_every_mode(dim, beta):
    rng = generator(0, "modes", dim)
    patterns = torch.randn(9, dim, generator=rng, dtype=torch.float64)
    memory = DenseAM(patterns, beta)
    x = memory.sample(3, generator=rng)

    def by_hand(y):
        logits = -beta * (y[:, None] - patterns).square().sum(-1)
        mean = torch.softmax(logits, 1) @ patterns
        return torch.logsumexp(logits, 1), mean, mean - y

    outputs, pull = torch.func.vjp(lambda y: tuple(memory.posterior(y)), x)
    truth, pull_by_hand = torch.func.vjp(by_hand, x)
    for keep in ((1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)):
        cotangents = tuple(
            k * torch.randn(o.shape, generator=rng).double() for k, o in zip(keep, truth, strict=True)
        )
        assert torch.allclose(pull(cotangents)[0], pull_by_hand(cotangents)[0], atol=1e-12)
    tangent = torch.randn(x.shape, generator=rng, dtype=torch.float64)
    moved = torch.func.jvp(lambda y: tuple(memory.posterior(y)), (x,), (tangent,))[1]
    for ours, theirs in zip(moved, torch.func.jvp(by_hand, (x,), (tangent,))[1], strict=True):
        assert torch.allclose(ours, theirs, atol=1e-12)
    for ours, theirs in zip(outputs, truth, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-12)
    second = torch.func.vmap(torch.func.hessian(lambda y: memory.energy(y[None])[0]))(x)
    assert torch.allclose(second, memory.hessian(x), atol=1e-12)
    expected = 2 * beta * memory.posterior_covariance(x)
    for transform in (torch.func.jacfwd, torch.func.jacrev):
        jacobian = torch.func.vmap(transform(lambda y: memory.posterior_mean(y[None])[0]))(x)
        assert torch.allclose(jacobian, expected, atol=1e-12)


def test_backward_of_one_output_at_a_time():
    # Plain autograd hands over None for outputs that were not used.
    memory = DenseAM(torch.tensor([[-1.0], [1.0]], dtype=torch.float64), 0.7)
    x = torch.tensor([[0.4]], dtype=torch.float64)
    slope = 2 * 0.7 / math.cosh(2 * 0.7 * 0.4) ** 2  # of tanh(2 beta x)
    for part, expected in ((0, 1.4 * (math.tanh(0.56) - 0.4)), (1, slope), (2, slope - 1)):
        y = x.clone().requires_grad_()
        memory.posterior(y)[part].sum().backward()
        assert float(y.grad) == pytest.approx(expected, rel=1e-12)


def test_each_query_may_have_its_own_temperature():
    rng = generator(0, "betas")
    patterns = torch.randn(30, 20, generator=rng, dtype=torch.float64)
    x = torch.randn(5, 20, generator=rng, dtype=torch.float64)
    betas = torch.tensor([1e-6, 1e-2, 1.0, 1e2, 1e8], dtype=torch.float64)
    together = posterior(x, patterns, betas)
    vectors = torch.randn(5, 3, 20, generator=rng, dtype=torch.float64)
    products = covariance_product(x, Patterns(patterns), betas, vectors)
    for i, beta in enumerate(betas.tolist()):
        alone = posterior(x[i : i + 1], patterns, beta)
        for whole, part in zip(together, alone, strict=True):
            assert torch.allclose(whole[i], part[0], rtol=1e-12)
        covariance = DenseAM(patterns, beta).posterior_covariance(x[i : i + 1])[0]
        assert torch.allclose(products[i], vectors[i] @ covariance, rtol=1e-10, atol=1e-12)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda y, b: posterior(y[None], patterns, b).mean[0]))(
        x, betas
    )
    expected = (
        2
        * betas[:, None, None]
        * torch.stack(
            [
                DenseAM(patterns, b).posterior_covariance(y[None])[0]
                for y, b in zip(x, betas.tolist(), strict=True)
            ]
        )
    )
    assert torch.allclose(jacobian, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("beta", [1e-3, 0.02, 5.0, 1e4])
@pytest.mark.parametrize("dim", [2, 24])
def test_results_do_not_depend_on_the_size_of_blocks(dim, beta):
    # 1 MiB holds 32768 logits: 700 queries and 300 patterns need many blocks of both.
    rng = generator(0, "blocks", dim)
    patterns = torch.randn(300, dim, generator=rng, dtype=torch.float64)
    x = patterns[torch.arange(700) % 300] + torch.randn(700, dim, generator=rng, dtype=torch.float64)
    small, large = Patterns(patterns, memory=1), Patterns(patterns, memory=1024)
    squares = (x[:, None] - patterns).square().sum(-1)
    truth = torch.softmax(-beta * squares, 1) @ patterns
    for stored in (small, large):
        result = posterior(x, stored, beta)
        assert torch.allclose(result.mean, truth, rtol=1e-9, atol=1e-10)
        assert torch.allclose(result.log_partition, torch.logsumexp(-beta * squares, 1), rtol=1e-9)
    a = DenseAM(small, beta).posterior_covariance(x[:50])
    assert torch.allclose(a, DenseAM(large, beta).posterior_covariance(x[:50]), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("memory", [1, 8])
def test_blocks_keep_to_the_memory_setting(memory):
    rng = generator(0, "memory")
    stored = Patterns(torch.randn(5000, 20, generator=rng), memory=memory)
    x = torch.randn(stored.rows(), 20, generator=rng)
    betas = torch.ones(len(x))
    for blocks in (stored.product_blocks(x, betas), stored.exact_blocks(x, betas)):
        sizes = [logits.numel() for _, logits in blocks]
        assert max(sizes) * 32 <= memory * 2**20  # four temporaries of eight bytes
        assert sum(sizes) == 5000 * len(x)


def test_screening_survives_a_crowd_of_near_copies():
    # All patterns within rounding of one another: the product cannot rule any of them out.
    rng = generator(0, "crowd")
    base = torch.randn(1, 50, generator=rng) * 10
    patterns = torch.cat([base + 1e-3 * torch.randn(200, 50, generator=rng), base + 30])
    x = base + 1e-3 * torch.randn(5, 50, generator=rng)
    memory = DenseAM(patterns, 1e5)
    truth = torch.softmax(-1e5 * (x.double()[:, None] - patterns.double()).square().sum(-1), 1)
    assert float((memory.weights(x) - truth).abs().max()) < 1e-5
    covariance = memory.posterior_covariance(x).double()
    offset = patterns.double() - (truth @ patterns.double())[:, None]
    expected = offset.mT @ (truth[:, :, None] * offset)
    assert float((covariance - expected).norm() / expected.norm()) < 1e-3


def test_lower_matmul_precision_does_not_spoil_screening():
    before = torch.get_float32_matmul_precision()
    rng = generator(0, "precision")
    patterns = torch.randn(50, 100, generator=rng)
    x = patterns[:10] + 0.01 * torch.randn(10, 100, generator=rng)
    try:
        torch.set_float32_matmul_precision("medium")
        assert not Patterns(patterns).trusts_product(x, torch.full((10,), 0.05)).any()
        score = DenseAM(patterns, 5000.0).score(x)
    finally:
        torch.set_float32_matmul_precision(before)
    assert Patterns(patterns).trusts_product(x, torch.full((10,), 0.05)).all()
    _, truth = exact_score(x, patterns, 0.01)
    assert float((score - truth).norm() / truth.norm()) < 1e-4


def test_energy_is_the_diffusion_energy():
    # E_DM = -2 sigma^2 t [log p_t + log K + D/2 log(2 pi sigma^2 t)]
    rng = generator(0, "identity")
    patterns = torch.randn(7, 3, generator=rng, dtype=torch.float64)
    x = torch.randn(10, 3, generator=rng, dtype=torch.float64)
    variance = 0.8**2 * 0.3
    memory = DenseAM(patterns, inverse_temperature(math.sqrt(variance)))
    assert memory.beta == pytest.approx(1 / (2 * variance))
    log_density = log_density_by_hand(x, patterns, math.sqrt(variance))
    constant = math.log(7) + 1.5 * math.log(2 * math.pi * variance)
    assert torch.allclose(memory.energy(x), -2 * variance * (log_density + constant), rtol=1e-12)
    # Variance preserving: beta = abar / (2 (1 - abar)).
    assert inverse_temperature(math.sqrt(0.3), math.sqrt(0.7)) == pytest.approx(0.7 / (2 * 0.3))


def test_draws_follow_the_density():
    memory = DenseAM(torch.tensor([[-1.0, 0.0], [3.0, 0.0]], dtype=torch.float64), 2.0)
    x = memory.sample(20_000, generator=generator(0, "draws"))
    # Mean (1, 0), variances 4 + 1/4 and 1/4; five standard errors.
    assert torch.allclose(x.mean(0), torch.tensor([1.0, 0.0]).double(), atol=5 * math.sqrt(4.25 / 20_000))
    assert torch.allclose(x.var(0), torch.tensor([4.25, 0.25]).double(), rtol=5 * math.sqrt(2 / 20_000))


def test_another_temperature_shares_the_patterns():
    memory = DenseAM(torch.zeros(2, 30), 1.0)
    assert memory.at(2.0).stored is memory.stored
    assert (memory.at(2.0).beta, memory.at(2.0).dim, len(memory)) == (2.0, 30, 2)
    assert memory.double().patterns.dtype == torch.float64
    assert memory.double().double().stored is memory.double().stored or memory.double().beta == 1.0


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (torch.zeros(0, 2), r"`patterns` must have shape \(K, D\) with K, D >= 1, got \(0, 2\)"),
        (torch.zeros(3, 0), r"got \(3, 0\)"),
        (torch.tensor([[0.0, float("nan")], [1.0, 1.0]]), "NaN or infinity in 1 of 2"),
        (torch.zeros(2, 2, dtype=torch.float16), "must be float32 or float64, got torch.float16"),
    ],
)
def test_bad_patterns(patterns, message):
    with pytest.raises(ValueError, match=message):
        DenseAM(patterns, 1.0)


@pytest.mark.parametrize("beta", [0.0, -1.0, math.nan, math.inf])
def test_bad_temperature(beta):
    with pytest.raises(ValueError, match="`beta` must be positive and finite, got"):
        DenseAM(torch.zeros(1, 2), beta)
    with pytest.raises(ValueError, match="`beta` must be positive and finite, got"):
        posterior(torch.zeros(1, 2), torch.zeros(1, 2), beta)
    with pytest.raises(ValueError, match="`beta` must be positive and finite, got a minimum"):
        posterior(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([beta]))


def test_bad_queries():
    memory = DenseAM(torch.zeros(2, 3), 1.0)
    with pytest.raises(ValueError, match=r"queries must have shape \(n, 3\), got \(1, 4\)"):
        memory.energy(torch.zeros(1, 4))
    with pytest.raises(
        ValueError, match=r"queries must be torch\.float32 like the patterns, got torch\.float64"
    ):
        memory.energy(torch.zeros(1, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match="queries must be finite"):
        memory.energy(torch.full((1, 3), torch.nan))
    with pytest.raises(ValueError, match=r"`beta` must be one number or 2, got shape \(3,\)"):
        posterior(torch.zeros(2, 3), memory.stored, torch.ones(3))
    with pytest.raises(ValueError, match="`memory` must be at least 1 MiB, got 0"):
        Patterns(torch.zeros(2, 3), memory=0)
    with pytest.raises(ValueError, match=r"`sigma_t` and `alpha_t` must be positive, got 0 and 1\.0"):
        inverse_temperature(0)


def test_derivatives_that_do_not_exist_say_so():
    memory = DenseAM(torch.randn(3, 2, generator=generator(0, "x")), 1.0)
    x = torch.zeros(1, 2)
    with pytest.raises(ValueError, match="`beta` must not require gradients"):
        posterior(x, memory.stored, torch.ones(1, requires_grad=True))
    with pytest.raises(ValueError, match="derivatives of `beta` are not available"):
        torch.func.jvp(lambda b: posterior(x, memory.stored, b).mean, (torch.ones(1),), (torch.ones(1),))
    with pytest.raises(ValueError, match="derivatives of the posterior covariance are not available"):
        torch.func.jacrev(torch.func.jacrev(memory.posterior_mean))(x)
    with pytest.raises(ValueError, match="derivatives of the posterior covariance are not available"):
        torch.func.jacfwd(torch.func.jacfwd(memory.posterior_mean))(x)


def test_no_queries_give_no_results():
    for dim in (2, 20):
        memory = DenseAM(torch.zeros(3, dim), 1.0)
        assert memory.energy(torch.zeros(0, dim)).shape == (0,)
        assert memory.score(torch.zeros(0, dim)).shape == (0, dim)
