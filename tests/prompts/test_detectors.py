"""Every detector against its formula, written out with numpy on a mixture of Gaussians, in float64.

The two ways differ in rounding only: some 1e-16 relative to numbers of order one, times at most 1 / alpha_T
= 30 where a network predicts the noise. Differences of scores at the first time are of order 0.1, so that
1e-9 is far above rounding; 1e-6 is asked of the Hessian products.
"""

import numpy as np
import pytest
import torch

import conditional
from conditional import BARS, EMBEDDING, END, LENGTH, PLACES, TIMES, WIDTH, Mixture, Truth
from spurion.prompts.detectors import DETECTORS
from spurion.prompts.detectors.anisotropy import Anisotropy
from spurion.prompts.detectors.curvature import Curvature
from spurion.prompts.detectors.intrinsic_dimension import IntrinsicDimension
from spurion.prompts.detectors.sharpness import by_difference, by_product

PREDICTIONS = ("epsilon", "sample", "v_prediction")
FIRST, LAST = TIMES[0], TIMES[-1]
NOISE = 1.0
GUIDANCE = 3.0
EXACT = {"rtol": 1e-9, "atol": 1e-12}


@pytest.fixture(scope="module", params=[(3, 2, 1), (1, 3, 1)], ids=["three channels", "one channel"])
def mixture(request):
    return Mixture(request.param)


@pytest.fixture(scope="module", params=PREDICTIONS)
def given(request, mixture):
    """A subject; the truth with the prompt, and without; the initial noises, flat."""
    seeds = conditional.seeds(3, request.param, mixture)
    subject = conditional.subject(seeds, request.param, mixture)
    truths = Truth(EMBEDDING.numpy(), mixture), Truth(None, mixture)
    return subject, *truths, seeds.noises.flatten(1).numpy()


def read(name, subject):
    return DETECTORS[name](subject)


def close(found, wanted, rtol=EXACT["rtol"]):
    np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=rtol, atol=EXACT["atol"])


def walked(truth, plain, noise):
    """The states of one seed and its sample, by the steps of DDIM."""
    states, bars = [], [*BARS[list(TIMES)], 1.0]
    x = noise
    for time, bar_t, bar_s in zip(TIMES, bars[:-1], bars[1:], strict=True):
        states.append(x)
        epsilon = (1 - GUIDANCE) * plain.epsilon(x, time) + GUIDANCE * truth.epsilon(x, time)
        clean = (x - np.sqrt(1 - bar_t) * epsilon) / np.sqrt(bar_t)
        x = np.sqrt(bar_s) * clean + np.sqrt(1 - bar_s) * epsilon
    return states, x


def test_noise_difference(given):
    subject, truth, plain, noises = given
    wanted = [np.linalg.norm(truth.epsilon(x, FIRST) - plain.epsilon(x, FIRST)) for x in noises]
    close(read("noise-difference", subject).values, wanted)


def test_noise_difference_of_all_steps(given):
    subject, truth, plain, noises = given
    table = []
    for noise in noises:
        states, _ = walked(truth, plain, noise)
        pairs = zip(states, TIMES, strict=True)
        table.append([np.linalg.norm(truth.epsilon(x, t) - plain.epsilon(x, t)) for x, t in pairs])
    reading = read("noise-difference-all", subject)
    close(reading.values, np.mean(table, axis=1))
    close(reading.detail["step"], np.mean(table, axis=0))


def test_one_step(given):
    subject, truth, plain, noises = given
    alpha, sigma = np.sqrt(BARS[FIRST]), np.sqrt(1 - BARS[FIRST])
    wanted = []
    for x in noises:
        epsilon = plain.epsilon(x, FIRST) + GUIDANCE * (truth.epsilon(x, FIRST) - plain.epsilon(x, FIRST))
        wanted.append(np.mean((x / alpha - (x - sigma * epsilon) / alpha) ** 2))
    close(read("one-step", subject).values, wanted)


@pytest.mark.parametrize(("name", "late"), [("anisotropy", TIMES[3]), ("anisotropy-first", FIRST)])
def test_anisotropy(given, name, late):
    subject, truth, plain, noises = given
    length = [np.linalg.norm(truth.epsilon(x, FIRST) - plain.epsilon(x, FIRST)) for x in noises]
    cosine = []
    for x in noises:
        a, b = plain.score(x, late), truth.score(x, late) - plain.score(x, late)
        cosine.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    reading = read(name, subject)
    close(reading.values, np.add(length, np.multiply(2.0, cosine)))
    close(reading.detail["length"], length)
    close(reading.detail["cosine"], cosine)
    assert Anisotropy(weight=0.0)(subject).values.tolist() == pytest.approx(length)


def sharp(truth, plain, x):
    pull = truth.score(x, FIRST) - plain.score(x, FIRST)
    return (truth.hessian(x, FIRST) - plain.hessian(x, FIRST)) @ pull


def test_sharpness(given):
    subject, truth, plain, noises = given
    reading = read("sharpness", subject)
    close(reading.values, [np.linalg.norm(sharp(truth, plain, x)) for x in noises], rtol=1e-6)
    assert not reading.note


def test_sharpness_by_product_and_by_difference_agree(given):
    subject, truth, plain, noises = given
    x = subject.seeds.noises

    def field(items):
        return subject.conditional.score(items, FIRST) - subject.unconditional.score(items, FIRST)

    vectors = field(x)
    product, difference = by_product(field, x, vectors), by_difference(field, x, vectors)
    error = ((product - difference).norm() / product.norm()).item()
    assert error < 2e-7  # in float64; 6e-8 with the right step, 1e-6 and more with those that are not
    close(product.flatten(1), [sharp(truth, plain, noise) for noise in noises], rtol=1e-6)
    assert by_difference(field, x, torch.zeros_like(x)).abs().max() == 0


def test_token_attribution(given, mixture):
    """Gradients by central differences of step 1e-6: 1e-12 of the third derivative, and rounding."""
    subject, _, plain, noises = given
    embedding = EMBEDDING.numpy()

    def length(changed, x):
        return np.linalg.norm(Truth(changed, mixture).epsilon(x, FIRST) - plain.epsilon(x, FIRST))

    weights = np.zeros((len(noises), len(PLACES)))
    for seed, x in enumerate(noises):
        for column, place in enumerate(PLACES):
            gradient = []
            for axis in range(WIDTH):
                step = np.zeros((LENGTH, WIDTH))
                step[place, axis] = 1e-6
                gradient.append((length(embedding + step, x) - length(embedding - step, x)) / 2e-6)
            weights[seed, column] = np.linalg.norm(gradient)
    reading = read("token-attribution", subject)
    close(reading.values, weights.max(axis=1), rtol=1e-6)
    close(reading.detail["tokens"], weights.mean(axis=0), rtol=1e-6)


def test_bright_ending(given):
    subject, truth, plain, noises = given
    channels = subject.seeds.noises.shape[1]
    keys = conditional.random(channels, LENGTH, path="attention").numpy()
    means, most = [], []
    for noise in noises:
        last = walked(truth, plain, noise)[0][-1].reshape(channels, -1).T
        logits = np.exp((1 + 0.01 * LAST) * last @ keys)
        shares = logits[:, END] / logits.sum(1)
        means.append(shares.mean())
        most.append(shares.max())
    reading = read("bright-ending", subject)
    close(reading.values, means)
    close(reading.detail["brightest"], most)


def test_seed_diversity(given):
    subject, truth, plain, noises = given
    samples = [walked(truth, plain, noise)[1] for noise in noises]
    distances = np.array([[np.linalg.norm(a - b) for b in samples] for a in samples])
    wanted = np.where(np.eye(3) == 1, np.inf, distances).min(axis=1)
    close(read("seed-diversity", subject).values, wanted)


def spectra(given):
    """The time of the wanted noise, and at every sample, scaled, the score and the eigenvalues of N."""
    _, truth, plain, noises = given
    t = int(np.abs(np.log(np.sqrt((1 - BARS) / BARS) / NOISE)).argmin())
    points = [np.sqrt(BARS[t]) * walked(truth, plain, noise)[1] for noise in noises]
    scores = [truth.score(x, t) for x in points]
    return 1 - BARS[t], scores, [np.linalg.eigvalsh(-(1 - BARS[t]) * truth.hessian(x, t)) for x in points]


def test_curvature(given):
    variance, _, values = spectra(given)
    cut = {6: 0.65, 3: 0.75}[len(values[0])]
    reading = Curvature(noise=NOISE, cut=cut)(given[0])
    wanted = [(rho < cut).sum() for rho in values]
    assert 0 < sum(wanted) < np.size(values)  # the cut is where something is
    close(reading.values, wanted)
    close(reading.detail["mean stiffness"], np.mean(values, axis=1))
    singular = [np.abs(rho).max() / variance for rho in values]
    close(reading.detail["largest singular value"], singular)


def test_intrinsic_dimension(given):
    variance, scores, values = spectra(given)
    dim = len(scores[0])
    wanted = [dim - rho.sum() + variance * (s @ s) for rho, s in zip(values, scores, strict=True)]
    close(IntrinsicDimension(noise=NOISE)(given[0]).values, wanted)


def test_intrinsic_dimension_by_probes():
    """Each of 8 probes of signs has a standard deviation of sqrt(2 sum of squares off the diagonal)."""
    subject = conditional.subject(conditional.seeds())
    exact = IntrinsicDimension(noise=NOISE)(subject).values
    assert torch.equal(IntrinsicDimension(noise=NOISE, exact=6)(subject).values, exact)
    reading = IntrinsicDimension(noise=NOISE, exact=1)(subject)
    probed = reading.values
    assert reading.evaluations == subject.path_cost + 1 + 8
    truth, plain = Truth(EMBEDDING.numpy()), Truth()
    for x, a, b in zip(subject.seeds.noises.flatten(1).numpy(), exact, probed, strict=True):
        t = int(np.abs(np.log(np.sqrt((1 - BARS) / BARS) / NOISE)).argmin())
        matrix = (1 - BARS[t]) * truth.hessian(np.sqrt(BARS[t]) * walked(truth, plain, x)[1], t)
        off = matrix - np.diag(np.diag(matrix))
        assert 0 < abs(float(a - b)) <= 5 * np.sqrt(2 * (off**2).sum() / 8)


def test_curvature_beyond_full_spectra(monkeypatch):
    """With as many Lanczos steps as coordinates every probe has all eigenvalues: the mean is exact."""
    exact = Curvature(noise=NOISE)(conditional.subject(conditional.seeds()))
    monkeypatch.setattr("spurion.geometry.stiffness.FULL_DIM", 2)
    probed = Curvature(noise=NOISE)(conditional.subject(conditional.seeds()))
    assert list(probed.detail) == ["mean stiffness"]
    assert probed.values == pytest.approx(exact.values, abs=2.0)
    assert probed.detail["mean stiffness"] == pytest.approx(exact.detail["mean stiffness"], abs=0.1)
