"""What holds of every detector in `DETECTORS`: cost, seeds, broken answers, networks; what is refused."""

import math

import pytest
import torch
from diffusers import UNet2DConditionModel

import conditional
from conditional import EMBEDDING, END, STEPS, Broken, Mixture
from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.jacobian import JacobianProducts
from spurion.prompts.detectors import DETECTORS, Detector, Reading
from spurion.prompts.detectors.intrinsic_dimension import IntrinsicDimension
from spurion.prompts.detectors.sharpness import by_difference, by_product
from spurion.prompts.noises import initial_noises
from spurion.prompts.subject import Seeds, Subject, Text
from spurion.prompts.walk import Walk, usual_walk

FIRST_STEP = ("noise-difference", "one-step", "anisotropy-first")


class Tally(Denoiser):
    """A model that adds every item that it is asked about to a list of counts."""

    def __init__(self, inner, counts):
        self.inner, self.counts = inner, counts
        self.schedule, self.shape, self.dtype = inner.schedule, inner.shape, inner.dtype

    def denoise(self, x_t, t):
        self.counts.append(len(x_t))
        return self.inner.denoise(x_t, t)


@pytest.fixture
def counts(monkeypatch):
    """Everything asked of the wrapped models, one number a pass; and derivatives, wherever they are taken."""
    counts, inside = [], []

    def counted(product, forward):
        def with_count(self, vectors):
            before = len(counts)
            inside.append(product)
            answer = product(self, vectors)
            inside.pop()
            passes = sum(counts[before:]) if forward else vectors.shape[1]
            counts.append(len(vectors) * passes)
            return answer

        return with_count

    def gradient(*args, _plain=torch.autograd.grad, **options):
        if not inside:
            counts.append(1)
        return _plain(*args, **options)

    monkeypatch.setattr(JacobianProducts, "push", counted(JacobianProducts.push, forward=True))
    monkeypatch.setattr(JacobianProducts, "pull", counted(JacobianProducts.pull, forward=False))
    monkeypatch.setattr(torch.autograd, "grad", gradient)
    return counts


def subject_counting(counts, seeds=3, **options):
    def wrap(model):
        return Tally(model, counts)

    given = conditional.seeds(seeds, wrap=wrap)
    return conditional.subject(given, wrap=wrap, **options)


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("dimensions", ["all", "few"])
def test_stated_evaluations_are_those_made(name, dimensions, counts, monkeypatch):
    if dimensions == "few":
        monkeypatch.setattr("spurion.geometry.stiffness.FULL_DIM", 2)
        monkeypatch.setitem(DETECTORS.data, "intrinsic-dimension", IntrinsicDimension(exact=2))
    subject = subject_counting(counts)
    reading = DETECTORS[name](subject)
    beside = 1.0 if "attention" in DETECTORS[name].needs else 0.0  # a pass of the attention, not counted here
    made = (sum(counts) - subject.seeds.shared.items) / 3 + beside
    assert reading.evaluations == pytest.approx(made)
    assert subject.spent == pytest.approx(made)


def test_the_cost_of_quadrature_where_coordinates_are_many(counts, monkeypatch):
    """With 60 coordinates its 50 steps are fewer than those, and every one counts."""
    monkeypatch.setattr("spurion.geometry.stiffness.FULL_DIM", 2)
    mixture = Mixture((1, 6, 10))
    given = conditional.seeds(1, mixture=mixture, wrap=lambda model: Tally(model, counts))
    subject = conditional.subject(given, mixture=mixture, wrap=lambda model: Tally(model, counts))
    reading = DETECTORS["curvature"](subject)
    assert reading.evaluations == sum(counts) - 1
    assert reading.evaluations > 2 * 8 * 50


@pytest.mark.parametrize("name", FIRST_STEP)
def test_first_step_detectors_cost_one_evaluation_when_prompts_are_many(name, counts):
    seeds = conditional.seeds(4, wrap=lambda model: Tally(model, counts))
    prompts = 20
    for _ in range(prompts):
        subject = conditional.subject(seeds, wrap=lambda model: Tally(model, counts))
        assert DETECTORS[name](subject).evaluations == 1
    assert sum(counts) / (4 * prompts) == 1 + 1 / prompts
    assert sum(counts) / (4 * prompts) <= 1.5


def test_anisotropy_costs_one_evaluation_beside_the_noise_difference(counts):
    seeds = conditional.seeds(4, wrap=lambda model: Tally(model, counts))
    subject = conditional.subject(seeds, wrap=lambda model: Tally(model, counts))
    DETECTORS["noise-difference"](subject)
    assert (subject.spent, DETECTORS["anisotropy"](subject).evaluations, subject.spent) == (1, 2, 2)


def test_what_is_without_a_prompt_is_asked_once_for_all():
    counts = []
    seeds = conditional.seeds(2, wrap=lambda model: Tally(model, counts))
    for scale in (1.0, 0.5, 2.0):
        subject = conditional.subject(seeds)
        subject = Subject(conditional.denoiser(scale * EMBEDDING), seeds, text=subject.text)
        for name in ("noise-difference", "anisotropy", "one-step"):
            DETECTORS[name](subject)
    assert counts == [2, 2]  # at the first time, and at the late one of the anisotropy


def test_all_detectors_share_one_path():
    seeds = conditional.seeds()
    subject = conditional.subject(seeds)
    stated = sum(detector(subject).evaluations for detector in DETECTORS.values())
    spectrum = conditional.subject(seeds)
    twice = DETECTORS["curvature"](spectrum).evaluations - spectrum.path_cost  # the dimension reads it too
    shared = sum("path" in detector.needs for detector in DETECTORS.values()) - 1
    firsts = 5  # noise-difference, one-step, both anisotropies and sharpness ask for the first step too
    assert subject.spent == pytest.approx(stated - shared * (2 * STEPS - 1) - firsts - twice)


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("shape", [(1, 3, 5), (2,)], ids=str)
@pytest.mark.parametrize("count", [1, 2])
def test_values_are_of_seeds(name, shape, count):
    """A seed reads the same alone and beside others, but for its distance to others."""
    mixture = Mixture(shape)
    many = initial_noises(shape, 3, 7).double()
    options = {} if len(shape) == 3 else {"attention": None, "end": None}
    if options and "attention" in DETECTORS[name].needs:
        return
    read = {}
    for size in (count, 3):
        seeds = conditional.seeds(mixture=mixture, noises=many[:size])
        reading = DETECTORS[name](conditional.subject(seeds, mixture=mixture, **options))
        assert (reading.values.shape, reading.values.dtype) == ((size,), torch.float64)
        assert all(isinstance(each, float) for row in reading.detail.values() for each in row)
        read[size] = reading.values[:count]
    if name == "seed-diversity":
        assert bool(read[count].isnan().all()) == (count == 1)
    else:
        assert read[count] == pytest.approx(read[3], rel=1e-6)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_seed_that_is_no_number_is_nan_alone(name):
    noises = initial_noises(conditional.SHAPE, 3, 7).double()
    noises[1] = torch.nan
    values = DETECTORS[name](conditional.subject(conditional.seeds(noises=noises))).values
    others = DETECTORS[name](conditional.subject(conditional.seeds(noises=noises[[0, 2]]))).values
    assert values[1].isnan()
    assert values[[0, 2]] == pytest.approx(others, rel=1e-6)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_model_that_answers_nan_reads_nan(name):
    subject = conditional.subject(conditional.seeds(2), wrap=Broken)
    assert DETECTORS[name](subject).values.isnan().all()


def test_an_empty_prompt_has_no_tokens_to_blame():
    reading = DETECTORS["token-attribution"](conditional.subject(conditional.seeds(2), places=()))
    assert reading.values.isnan().all()
    assert (reading.detail, reading.evaluations) == ({"tokens": []}, 0.0)


def test_a_prompt_that_changes_nothing_reads_zero():
    seeds = conditional.seeds(2)
    subject = Subject(conditional.denoiser(None), seeds)
    for name in ("noise-difference", "noise-difference-all", "anisotropy", "sharpness"):
        assert DETECTORS[name](subject).values.tolist() == [0.0, 0.0]


def test_one_time_is_a_walk():
    seeds = Seeds(conditional.denoiser(), initial_noises(conditional.SHAPE, 2, 7).double(), Walk((39,), 1.0))
    subject = conditional.subject(seeds)
    assert DETECTORS["anisotropy"](subject).evaluations == 1
    assert DETECTORS["noise-difference-all"](subject).values == pytest.approx(
        DETECTORS["noise-difference"](subject).values
    )


class Once(torch.autograd.Function):
    """The identity, which can be computed and no more."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise RuntimeError("no derivative")


class Opaque(Denoiser):
    """A model without any derivative."""

    def __init__(self, inner):
        self.inner, self.schedule, self.shape, self.dtype = inner, inner.schedule, inner.shape, inner.dtype

    def denoise(self, x_t, t):
        return self.inner.denoise(Once.apply(x_t), t)


def test_sharpness_falls_back_to_a_difference_and_says_so():
    plain = DETECTORS["sharpness"](conditional.subject(conditional.seeds()))
    given = conditional.seeds(wrap=Opaque)
    reading = DETECTORS["sharpness"](conditional.subject(given, wrap=Opaque))
    assert "central difference" in reading.note
    assert reading.values == pytest.approx(plain.values, rel=1e-3)


def test_sharpness_does_not_hide_that_memory_ran_out(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr("spurion.prompts.detectors.sharpness.by_product", full)
    with pytest.raises(torch.OutOfMemoryError):
        DETECTORS["sharpness"](conditional.subject(conditional.seeds()))


class TextUNet(torch.nn.Module):
    """A tiny text-conditional U-Net, with the embedding of its prompt."""

    def __init__(self, unet, embedding):
        super().__init__()
        self.unet, self.embedding = unet, embedding

    def forward(self, x_t, t):
        return self.unet(x_t, t, encoder_hidden_states=self.embedding.expand(len(x_t), -1, -1))


@pytest.fixture(scope="module", params=["epsilon", "v_prediction"])
def unet_subject(request):
    unet = UNet2DConditionModel(
        sample_size=4,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=2,
        cross_attention_dim=6,
        attention_head_dim=2,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).double()
    for parameter in unet.parameters():
        parameter.data = 0.3 * torch.randn(
            parameter.shape, dtype=torch.float64, generator=generator(0, "unet", parameter.numel())
        )
    prompts = torch.randn(2, 5, 6, dtype=torch.float64, generator=generator(0, "prompts"))
    shape = (4, 4, 4)

    def at(embedding):
        return NetworkDenoiser(TextUNet(unet, embedding), conditional.SCHEDULE, shape, request.param)

    seeds = Seeds(at(prompts[0]), initial_noises(shape, 2, 0), usual_walk(conditional.SCHEDULE, 3))
    text = Text(("a", "b"), (1, 2), prompts[1], at)
    return Subject(at(prompts[1]), seeds, text=text, attention=conditional.attention, end=END)


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_reads_a_network(name, unet_subject):
    reading = DETECTORS[name](unet_subject)
    assert reading.values.isfinite().all()
    assert reading.evaluations >= 1
    assert not reading.note


def test_both_ways_of_sharpness_agree_on_a_network(unet_subject):
    x = unet_subject.seeds.noises

    def field(items):
        return unet_subject.conditional.score(items, 39) - unet_subject.unconditional.score(items, 39)

    vectors = field(x)
    product, difference = by_product(field, x, vectors), by_difference(field, x, vectors)
    assert ((product - difference).norm() / product.norm()).item() < 1e-3


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_says_what_it_is(name):
    detector = DETECTORS[name]
    assert detector.name == name
    assert detector.unit
    assert detector.source
    assert set(detector.predictions) == {"epsilon", "sample", "v_prediction"}
    assert isinstance(detector.higher, bool)


class Mine(Detector):
    name = "mine"
    unit = "1"
    source = "this test"
    higher = True

    def read(self, subject):
        return Reading(subject.first.flatten(1).double().mean(dim=1), 1.0, {})


def test_a_detector_is_registered_from_outside_by_one_line(monkeypatch):
    monkeypatch.setattr(DETECTORS, "data", dict(DETECTORS.data))
    DETECTORS["mine"] = Mine()
    subject = conditional.subject(conditional.seeds())
    assert DETECTORS["mine"](subject).values == pytest.approx(subject.first.flatten(1).mean(dim=1))


def test_wrong_detectors_are_refused(monkeypatch):
    monkeypatch.setattr(DETECTORS, "data", dict(DETECTORS.data))
    with pytest.raises(ValueError, match="must hold a detector of that name, got 'mine'"):
        DETECTORS["yours"] = Mine()
    monkeypatch.setattr(Mine, "needs", frozenset({"telepathy"}))
    with pytest.raises(ValueError, match="may need attention, path, text, got telepathy"):
        DETECTORS["mine"] = Mine()


@pytest.mark.parametrize(("name", "lack"), [("token-attribution", "text"), ("bright-ending", "attention")])
def test_what_a_detector_needs_must_be_there(name, lack):
    subject = Subject(conditional.denoiser(EMBEDDING), conditional.seeds())
    with pytest.raises(ValueError, match=f"{name} needs the {lack} of the prompt"):
        DETECTORS[name](subject)


def test_memorized_prompts_read_as_each_detector_expects():
    """One prompt that allows a single narrow component, and one that allows all wide ones."""
    mixture = Mixture()
    seeds = conditional.seeds(4)
    keys = mixture.keys.flatten(1)
    read = {}
    for label, logits in {"memorized": [30.0, 0, 0, 0], "other": [-30.0, 0, 0, 0]}.items():
        target = torch.tensor(logits, dtype=torch.float64)
        embedding = torch.linalg.lstsq(keys, target[:, None]).solution.view(EMBEDDING.shape)
        subject = Subject(conditional.denoiser(embedding), seeds, guidance=1.0)
        names = [name for name in DETECTORS if not DETECTORS[name].needs - {"path"}]
        read[label] = {name: float(DETECTORS[name](subject).values.mean()) for name in names}
    for name in ("noise-difference", "sharpness", "seed-diversity", "curvature", "intrinsic-dimension"):
        above = read["memorized"][name] > read["other"][name]
        assert above == DETECTORS[name].higher, name
    assert math.isfinite(sum(read["memorized"].values()))
