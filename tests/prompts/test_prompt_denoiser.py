"""A prompt as a denoiser: guidance, cost, identity, derivatives, and every measure of the geometry."""

import dataclasses
import inspect
import math

import pytest
import torch

from prompts.tiny_pipelines import largest, second, stable
from spurion.core.random import generator
from spurion.diffusion.jacobian import JacobianProducts
from spurion.diffusion.samplers import SamplerConfig
from spurion.diffusion.sampleset import sample_to_file
from spurion.diffusion.state import denoiser_hash, denoiser_state
from spurion.geometry.basin import BasinConfig
from spurion.geometry.density import spectral_density
from spurion.geometry.groups.choice import Group
from spurion.geometry.groups.measuring import measure
from spurion.geometry.hessian import curvature
from spurion.geometry.jacobian import ScoreJacobian
from spurion.geometry.measures import MEASURES
from spurion.geometry.setting import Setting
from spurion.prompts import PromptDenoiser, TextPipeline, load_pipeline
from unets import jacobian

PROMPT = "a photo of a red square"
KINDS = {"sd1": stable, "sd2": second, "sdxl": largest}


@pytest.fixture(scope="module", params=KINDS)
def pipeline(request, tmp_path_factory):
    return load_pipeline(KINDS[request.param](tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return load_pipeline(stable(tmp_path_factory.mktemp("tiny")))


def latents(pipeline, count=2):
    return torch.randn(count, *pipeline.shape, generator=generator(0, "latents"))


def counted(pipeline):
    """The batch sizes of all passes of the network."""
    sizes = []
    hook = pipeline.question.network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    return sizes, hook


def test_guidance_is_linear_in_the_noise(pipeline):
    x_t, t = latents(pipeline), 700
    with torch.no_grad():
        conditional, unconditional = (pipeline.at(PROMPT, g).epsilon(x_t, t) for g in (1, 0))
        for g in (7.5, -1.0, 0.5):
            guided = pipeline.at(PROMPT, g).epsilon(x_t, t)
            expected = unconditional + g * (conditional - unconditional)
            assert torch.allclose(guided, expected, rtol=1e-4, atol=1e-4)
    assert (conditional - unconditional).abs().max() > 0.1  # the prompt matters


def test_the_conditional_denoiser_is_the_networks_own_answer(pipeline):
    question, x_t, t = pipeline.question, latents(pipeline), torch.tensor([3, 700])
    one = pipeline.encode([PROMPT])[0]
    added = None
    if one.pooled is not None:
        added = {"text_embeds": one.pooled.expand(2, -1), "time_ids": one.extra.expand(2, -1)}
    with torch.no_grad():
        out = question.network(
            x_t, t, encoder_hidden_states=one.embedding.expand(2, -1, -1), added_cond_kwargs=added
        ).sample
        x_hat = pipeline.at(one, 1)(x_t, t)
    bar = pipeline.schedule.alphas_cumprod[t].float().view(-1, 1, 1, 1)
    if question.prediction == "v_prediction":
        expected = bar.sqrt() * x_t - (1 - bar).sqrt() * out
    else:
        expected = (x_t - (1 - bar).sqrt() * out) / bar.sqrt()
    assert torch.allclose(x_hat, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("guidance", "passes"), [(1, 1), (0, 1), (7.5, 2)])
def test_one_pass_where_one_is_enough(pipeline, guidance, passes):
    denoiser = pipeline.at(PROMPT, guidance, "blue circle")
    sizes, hook = counted(pipeline)
    with hook:
        denoiser(latents(pipeline, 3), 10)
    assert (sizes, denoiser.passes) == ([3 * passes], passes)
    assert (denoiser.negative is None) == (guidance == 1)


def test_what_a_denoiser_says_of_itself(pipeline):
    denoiser = pipeline.at(PROMPT, 3)
    assert isinstance(denoiser, PromptDenoiser)
    assert denoiser.clip_range == math.inf
    assert denoiser.dtype == torch.float32
    assert (denoiser.name, denoiser.folder_hash) == (pipeline.name, pipeline.folder_hash)
    assert (denoiser.shape, denoiser.schedule) == (pipeline.shape, pipeline.schedule)
    assert denoiser.conditioning.prompt == PROMPT
    assert denoiser.negative.prompt == ""
    assert denoiser.guidance == 3.0
    assert denoiser(latents(pipeline).double(), 10).dtype == torch.float64


def test_items_do_not_depend_on_their_batch_mates(pipeline):
    x_t, denoiser = latents(pipeline, 3), pipeline.at(PROMPT)
    times = torch.tensor([1, 500, 999])
    together = denoiser(x_t, times)
    alone = torch.cat([denoiser(x_t[i : i + 1], int(times[i])) for i in range(3)])
    assert torch.allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_the_hash_is_that_of_all_that_decides_the_answers(pipeline, tmp_path):
    one = pipeline.encode([PROMPT])[0]
    other = dataclasses.replace(one, embedding=one.embedding + 1e-6)
    different = [
        pipeline.at(PROMPT),
        pipeline.at(PROMPT, 7),
        pipeline.at(PROMPT, 1),
        pipeline.at(PROMPT, 0),
        pipeline.at("another"),
        pipeline.at(PROMPT, negative="another"),
        pipeline.at(one),
        pipeline.at(other),
    ]
    assert len({denoiser_hash(denoiser) for denoiser in different}) == len(different)
    assert denoiser_hash(pipeline.at(PROMPT)) == denoiser_hash(pipeline.at(PROMPT))
    assert denoiser_hash(pipeline.at(one)) == denoiser_hash(pipeline.at(one))
    # What is not asked makes no difference.
    assert denoiser_hash(pipeline.at("another", 0)) == denoiser_hash(pipeline.at(PROMPT, 0))
    assert denoiser_hash(pipeline.at(PROMPT, 1, "no")) == denoiser_hash(pipeline.at(PROMPT, 1))
    with pytest.raises(ValueError, match="to be saved, got PromptDenoiser"):
        denoiser_state(pipeline.at(PROMPT))


def test_the_hash_of_the_folder_knows_weights_and_words(tmp_path):
    folder = stable(tmp_path)
    first = load_pipeline(folder).folder_hash
    assert load_pipeline(folder.rename(tmp_path / "elsewhere")).folder_hash == first
    folder = tmp_path / "elsewhere"
    (folder / "README.md").write_text("Some words.")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"not read")
    assert load_pipeline(folder).folder_hash == first
    for path in ("unet/config.json", "tokenizer/tokenizer_config.json", "model_index.json"):
        before = (folder / path).read_text()
        (folder / path).write_text(before + "\n")
        assert load_pipeline(folder).folder_hash != first
        (folder / path).write_text(before)
    assert load_pipeline(folder).folder_hash == first


def test_sample_sets_of_a_prompt_continue(pipeline, tmp_path):
    config = SamplerConfig(kind="ddim", steps=3, batch_size=1)
    path = tmp_path / "set.npz"
    drawn = sample_to_file(pipeline.at(PROMPT), 2, config, seed=0, path=path)
    assert torch.equal(sample_to_file(pipeline.at(PROMPT), 2, config, seed=0, path=path), drawn)
    assert drawn.abs().max() > 1  # latents are not clipped
    with pytest.raises(ValueError, match="holds samples of another model"):
        sample_to_file(pipeline.at(PROMPT, 2), 2, config, seed=0, path=path)


@pytest.mark.parametrize("guidance", [7.5, 1])
def test_products_with_the_jacobian_need_no_fallback(pipeline, guidance):
    x, denoiser = latents(pipeline), pipeline.at(PROMPT, guidance)
    matrix = jacobian(lambda items: denoiser(items, 300), x)
    products = JacobianProducts(lambda items: denoiser(items, 300), x)
    vectors = torch.randn(3, *x.shape, generator=generator(0, "vectors"))
    pushed, pulled = products.push(vectors).flatten(2), products.pull(vectors).flatten(2)
    assert [len(products._push_ways), len(products._pull_ways)] == [2, 2]
    scale = float(matrix.norm())
    expected = torch.einsum("nij,mnj->mni", matrix, vectors.flatten(2))
    assert torch.allclose(pushed, expected, rtol=0, atol=1e-5 * scale)
    expected = torch.einsum("nij,mni->mnj", matrix, vectors.flatten(2))
    assert torch.allclose(pulled, expected, rtol=0, atol=1e-5 * scale)


def test_the_noise_has_a_gradient_by_the_embedding(pipeline):
    one, x_t = pipeline.encode([PROMPT])[0], latents(pipeline, 1)
    embedding = one.embedding.clone().requires_grad_()
    denoiser = pipeline.at(dataclasses.replace(one, embedding=embedding), 1)
    (gradient,) = torch.autograd.grad(denoiser.epsilon(x_t, 500).square().sum(), embedding)
    assert gradient.abs().sum(dim=1).min() > 0  # of every token
    step = torch.randn(embedding.shape, generator=generator(0, "step"))

    def value(size):
        moved = dataclasses.replace(one, embedding=one.embedding + size * step)
        return pipeline.at(moved, 1).epsilon(x_t, 500).double().square().sum()

    with torch.no_grad():
        difference = (value(1e-2) - value(-1e-2)) / 2e-2
    assert float((gradient * step).sum()) == pytest.approx(float(difference), rel=2e-2)


@pytest.mark.parametrize("pipeline", ["sd1", "sd2"], indirect=True)
def test_every_measure_of_the_geometry_works(pipeline):
    denoiser = pipeline.at(PROMPT, 2)
    points = 0.5 * latents(pipeline)
    basins = BasinConfig(draws=2, levels=6, steps=2)
    setting = Setting(
        time=denoiser.schedule.nearest(0.5), noise=0.5, tolerance=4.0, seed=0, basins=basins, probes=2
    )
    found = measure(denoiser, [Group("", 2, torch.arange(2), points)], list(MEASURES), setting)
    assert not found.losses.sentences()
    assert set(found.values) == set(MEASURES)
    for name, groups in found.values.items():
        for measured in groups.values():
            assert not measured.has("failed").any(), name


def test_spectra_are_those_of_the_jacobian(first):
    denoiser, points = first.at(PROMPT, 1), 0.5 * latents(first)
    t = denoiser.schedule.nearest(0.5)
    bar = float(denoiser.schedule.alphas_cumprod[t])
    alpha = math.sqrt(bar)
    own = jacobian(lambda items: items - alpha * denoiser(items, t), alpha * points).double()
    expected = torch.linalg.eigvalsh((own + own.mT) / 2)
    found = curvature(denoiser, points, t)
    assert torch.allclose(found.rho.double().sort(dim=1).values, expected, rtol=1e-3, atol=1e-3)
    density = spectral_density(
        ScoreJacobian(denoiser, points, t), generator=generator(0, "density"), probes=6, steps=10
    )
    mean = density.mean()
    trace = expected.mean(dim=1)
    assert ((mean.value - trace).abs() < 4 * mean.error + 1e-3).all()


WRONG = [
    (lambda own: own.at("a", math.nan), "`guidance` must be a finite number, got nan"),
    (lambda own: own.encode("a"), "`prompts` must be a list of texts"),
    (lambda own: own.decode(torch.zeros(1, 3, 4, 8)), r"`latents` must have shape \(n, 4, 4, 8\), got"),
    (lambda own: own.encode_images(torch.zeros(1, 4, 4, 8)), r"`images` must have shape \(n, 3, 8, 16\)"),
    (lambda own: own.decode(torch.full((1, 4, 4, 8), math.nan)), "The decoder of .* answers NaN"),
    (
        lambda own: PromptDenoiser(own.question, own.encode(["a"])[0], None, 2.0),
        "`negative` must be given for a guidance other than 1, got 2",
    ),
    # Below the annotations, which the tests check and users do not.
    (lambda own: AT(own, 3), "`prompt` must be a text or a Conditioning, got int"),
    (lambda own: AT(own, "a", 7.5, None), "`negative` must be a text or a Conditioning, got NoneType"),
    (lambda own: AT(own, "a", "7"), "`guidance` must be a number, got str"),
    (lambda own: ENCODE(own, ["a", 3]), "`prompts` must be a list of texts"),
]
AT, ENCODE = inspect.unwrap(TextPipeline.at), inspect.unwrap(TextPipeline.encode)


@pytest.mark.parametrize(("case", "sentence"), WRONG)
def test_bad_arguments_are_one_sentence(first, case, sentence):
    with pytest.raises(ValueError, match=sentence):
        case(first)
