"""What a subject and its seeds compute, count and refuse."""

import pytest
import torch

import conditional
from conditional import EMBEDDING, LENGTH, SCHEDULE, SHAPE, STEPS, TIMES
from spurion.core.random import generator
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.samplers import reverse
from spurion.diffusion.schedule import DDPMSchedule, VESchedule
from spurion.prompts.noises import initial_noises
from spurion.prompts.subject import Seeds, Subject, Text
from spurion.prompts.walk import Walk, usual_walk


def test_initial_noises_are_streams_of_their_own():
    noises = initial_noises((2, 3), 4, 5)
    assert torch.equal(noises[:2], initial_noises((2, 3), 2, 5))
    assert torch.equal(noises[3], torch.randn((2, 3), generator=generator(5, "prompt", 3)))
    assert torch.equal(noises[:1], initial_noises((2, 3), 1, 5))
    with pytest.raises(ValueError, match="`count` must be at least 1, got 0"):
        initial_noises((2, 3), 0, 5)


def test_the_usual_walk():
    assert usual_walk(SCHEDULE, STEPS) == Walk(TIMES, 1.0)
    assert usual_walk(SCHEDULE, 1) == Walk((39,), 1.0)
    assert usual_walk(SCHEDULE, 40).times == tuple(range(39, -1, -1))
    for steps in (0, 41):
        with pytest.raises(ValueError, match=r"`steps` must lie in 1\.\.40"):
            usual_walk(SCHEDULE, steps)


def test_the_path_without_guidance_is_the_samplers():
    seeds = conditional.seeds()
    subject = conditional.subject(seeds, guidance=1.0)
    denoiser = conditional.denoiser(EMBEDDING)
    expected = reverse(denoiser, seeds.noises, 39, STEPS, clip=False)
    assert subject.path.samples == pytest.approx(expected, rel=1e-9)


def test_the_path_keeps_what_the_model_saw():
    subject = conditional.subject(conditional.seeds())
    path = subject.path
    assert path.times == TIMES
    for t, state, noise, plain in zip(*path[:4], strict=True):
        assert torch.equal(noise, conditional.denoiser(EMBEDDING).epsilon(state, t))
        assert torch.equal(plain, conditional.denoiser().epsilon(state, t))
    assert torch.equal(path.conditional[0], subject.first)
    assert torch.equal(path.unconditional[0], subject.seeds.first)
    assert subject.path is path
    assert subject.spent == subject.path_cost == 2 * STEPS - 1


def test_a_walk_may_end_before_the_last_posterior_mean():
    noises = initial_noises(SHAPE, 2, 0).double()
    walk = Walk(TIMES, float(SCHEDULE.alphas_cumprod[0]))
    subject = conditional.subject(Seeds(conditional.denoiser(), noises, walk), guidance=1.0)
    path = subject.path
    assert path.samples == pytest.approx(path.states[-1])  # the last step goes nowhere


def test_guidance_zero_forgets_the_prompt():
    seeds = conditional.seeds()
    path = conditional.subject(seeds, guidance=0.0).path
    assert path.samples == pytest.approx(reverse(conditional.denoiser(), seeds.noises, 39, STEPS, clip=False))


def test_what_a_subject_has():
    seeds = conditional.seeds()
    assert conditional.subject(seeds).has == {"path", "text", "attention"}
    bare = Subject(conditional.denoiser(EMBEDDING), seeds, image=torch.zeros(SHAPE))
    assert bare.has == {"path"}
    assert (bare.image is None, bare.guidance) == (False, 7.5)
    with pytest.raises(ValueError, match="`text` must be given"):
        _ = bare.text
    with pytest.raises(ValueError, match="`attention` must be given"):
        bare.end_attention(seeds.noises, 0)


@pytest.mark.parametrize("shares", [torch.ones(3, 2), torch.ones(2, 2, LENGTH), torch.ones(3, 2, 4)])
def test_attention_of_a_wrong_shape_is_refused(shares):
    subject = conditional.subject(conditional.seeds(), attention=lambda x_t, t: shares)
    with pytest.raises(ValueError, match=r"`attention` must give shape \(3, positions, tokens\)"):
        subject.end_attention(subject.seeds.noises, 0)


def test_models_that_do_not_belong_together_are_refused():
    seeds = conditional.seeds()
    mean = torch.zeros(6, dtype=torch.float64)
    other = GaussianDenoiser(mean, torch.ones_like(mean), DDPMSchedule(), SHAPE)
    with pytest.raises(ValueError, match="must be of one model: one shape and one schedule"):
        Subject(other, seeds)
    flat = GaussianDenoiser(mean, torch.ones_like(mean), SCHEDULE, (6,))
    with pytest.raises(ValueError, match="must be of one model: one shape and one schedule"):
        Subject(flat, seeds)


def test_other_wrong_arguments_are_refused():
    seeds, model = conditional.seeds(), conditional.denoiser(EMBEDDING)
    with pytest.raises(ValueError, match="`attention` and `end` must be given together"):
        Subject(model, seeds, end=3)
    with pytest.raises(ValueError, match=r"`image` must have shape \(3, 2, 1\), got \(6,\)"):
        Subject(model, seeds, image=torch.zeros(6))
    assert Text(("a",), (0,), EMBEDDING, conditional.denoiser).places == (0,)
    for places in ((1,), (1, LENGTH), (-1, 2)):
        with pytest.raises(ValueError, match="`places` must say of each of 2 tokens"):
            Text(("a", "b"), places, EMBEDDING, conditional.denoiser)


def test_wrong_seeds_are_refused():
    model, walk = conditional.denoiser(), usual_walk(SCHEDULE, 3)
    for noises in (torch.zeros(2, 6), torch.zeros(0, *SHAPE)):
        with pytest.raises(ValueError, match=r"`noises` must have shape \(m, 3, 2, 1\)"):
            Seeds(model, noises, walk)
    with pytest.raises(ValueError, match=r"`walk\.times` must be decreasing"):
        Seeds(model, torch.zeros(1, *SHAPE), Walk((3, 3), 1.0))
    mean = torch.zeros(2)
    with pytest.raises(ValueError, match="must have a DDPMSchedule, got VESchedule"):
        Seeds(GaussianDenoiser(mean, mean + 1, VESchedule(), (2,)), torch.zeros(1, 2), walk)
