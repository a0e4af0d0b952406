import math

import pytest
import torch
from diffusers import DDIMScheduler

from spurion.core.config import build_config
from spurion.core.random import generator
from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.samplers import SamplerConfig, drawn_ahead, reverse, sample, stream_noises
from spurion.diffusion.schedule import DDPMSchedule, VESchedule

SCHEDULE = DDPMSchedule()


class Recorder(Denoiser):
    """x_hat = slope x_t + offset, and keeps everything it was asked."""

    dtype = torch.float64

    def __init__(self, shape, slope=0.0, offset=0.0, schedule=SCHEDULE):
        self.shape, self.slope, self.offset, self.schedule = shape, slope, offset, schedule
        self.states, self.times = [], []

    def denoise(self, x_t, t):
        self.states.append(x_t.clone())
        self.times.append(int(t[0]))
        return self.slope * x_t + self.offset


def bar(t):
    return float(SCHEDULE.alphas_cumprod[t])


def stream(seed, index, block, shape):
    """The noise of one sample, as the module promises it."""
    return torch.empty(block, *shape).normal_(generator=generator(seed, "sample", index))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(1, [999]), (2, [999, 0]), (4, [999, 666, 333, 0]), (7, [999, 833, 666, 500, 333, 167, 0])],
)
def test_steps_are_evenly_spaced_from_the_first_to_the_last(steps, expected):
    denoiser = Recorder((2,))
    sample(denoiser, 1, SamplerConfig(steps=steps), seed=0)
    assert denoiser.times == expected


@pytest.mark.parametrize("steps", [250, 999, 1000])
def test_no_step_is_made_twice(steps):
    denoiser = Recorder((2,))
    sample(denoiser, 1, SamplerConfig(steps=steps), seed=0)
    assert len(denoiser.times) == len(set(denoiser.times)) == steps
    gaps = [a - b for a, b in zip(denoiser.times, denoiser.times[1:], strict=False)]
    assert max(gaps) - min(gaps) <= 1
    assert (denoiser.times[0], denoiser.times[-1]) == (999, 0)


@pytest.mark.parametrize("eta", [None, 0.0, 0.6, 1.0])
def test_a_strided_step_is_the_closed_form(eta):
    shape, x = (8, 8), 0.3
    kind = {"kind": "ddpm"} if eta is None else {"kind": "ddim", "eta": eta}
    denoiser = Recorder(shape, offset=x)
    sample(denoiser, 2, SamplerConfig(steps=4, **kind), seed=5)
    for index in range(2):
        noise = stream(5, index, 64, shape).double()
        states = [state[index] for state in denoiser.states]
        assert torch.equal(states[0], noise[0])
        used = 1
        for x_t, x_s, t, s in zip(states, states[1:], denoiser.times, denoiser.times[1:], strict=False):
            ratio = bar(t) / bar(s)
            # Bayes: q(x_t | x_s) q(x_s | x), both normal in x_s, precisions added.
            variance = 1 / (ratio / (1 - ratio) + 1 / (1 - bar(s)))
            if eta is None:
                mean = variance * (
                    math.sqrt(ratio) / (1 - ratio) * x_t + math.sqrt(bar(s)) / (1 - bar(s)) * x
                )
            else:
                variance *= eta**2
                epsilon = (x_t - math.sqrt(bar(t)) * x) / math.sqrt(1 - bar(t))
                mean = math.sqrt(bar(s)) * x + math.sqrt(1 - bar(s) - variance) * epsilon
            expected = mean + math.sqrt(variance) * noise[used]
            torch.testing.assert_close(x_s, expected, atol=1e-12, rtol=0)
            used += 1


@pytest.mark.parametrize("eta", [None, 0.0, 0.5, 1.0])
def test_with_the_true_image_every_step_has_the_true_marginal(eta):
    # With x_hat = x the chain is exact at any stride: x_s ~ N(alpha_s x, sigma_s^2), for 2000 x 64 numbers.
    kind = {"kind": "ddpm"} if eta is None else {"kind": "ddim", "eta": eta}
    denoiser, x, n = Recorder((64,), offset=0.3), 0.3, 2000 * 64
    sample(denoiser, 2000, SamplerConfig(steps=5, batch_size=2000, **kind), seed=1)
    for t, state in zip(denoiser.times, denoiser.states, strict=True):
        variance = 1 - bar(t)
        tolerance = 4 * math.sqrt(variance / n) + 0.3 * math.sqrt(bar(999))  # it starts from N(0, 1)
        assert abs(float(state.mean()) - math.sqrt(bar(t)) * x) < tolerance
        assert abs(float(state.var()) / variance - 1) < 4 * math.sqrt(2 / n) + 1e-4


@pytest.mark.parametrize("clip", [False, True])
def test_ddim_with_all_noise_is_ancestral_sampling(clip):
    patterns = torch.rand(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 4 - 2
    denoiser = ExactDenoiser(patterns, SCHEDULE)
    ancestral = sample(denoiser, 20, SamplerConfig(steps=40, clip=clip), seed=2)
    implicit = sample(denoiser, 20, SamplerConfig(kind="ddim", eta=1, steps=40, clip=clip), seed=2)
    torch.testing.assert_close(ancestral, implicit, atol=1e-10, rtol=0)


def test_deterministic_ddim_agrees_with_diffusers():
    schedule = DDPMSchedule(20, 1e-3, 0.3)
    denoiser = MLPConfig(width=16).build(
        torch.zeros(1, 1, 4, 4), schedule, generator=torch.Generator().manual_seed(0)
    )
    ours = sample(denoiser, 3, SamplerConfig(kind="ddim", steps=20), seed=3)
    theirs = DDIMScheduler(num_train_timesteps=20, beta_start=1e-3, beta_end=0.3)
    theirs.set_timesteps(20)
    x_t = torch.stack([stream(3, index, 256, (1, 4, 4))[0] for index in range(3)])
    for t in theirs.timesteps:
        with torch.no_grad():
            predicted = denoiser.network(x_t, t.expand(3))
        x_t = theirs.step(predicted, int(t), x_t, use_clipped_model_output=True).prev_sample
    torch.testing.assert_close(ours, x_t, atol=1e-5, rtol=0)


def test_clipping_comes_before_the_noise_is_derived():
    start = stream(0, 0, 2048, (2,))[0].double()
    for clip, x in ((True, 1.0), (False, 5.0)):
        denoiser = Recorder((2,), offset=5.0)
        result = sample(denoiser, 1, SamplerConfig(kind="ddim", steps=2, clip=clip), seed=0)
        assert result.tolist() == [[x, x]]
        epsilon = (start - math.sqrt(bar(999)) * x) / math.sqrt(1 - bar(999))
        expected = math.sqrt(bar(0)) * x + math.sqrt(1 - bar(0)) * epsilon
        torch.testing.assert_close(denoiser.states[1][0], expected, atol=1e-13, rtol=0)
    result = sample(Recorder((2,), offset=-5.0), 1, SamplerConfig(steps=2), seed=0)
    assert result.tolist() == [[-1, -1]]


@pytest.mark.parametrize(
    "shape", [(3,), (1, 8, 8), (3, 40, 40)]
)  # many, some and one step to a block of noise
def test_a_sample_does_not_depend_on_its_company(shape):
    denoiser = Recorder(shape, slope=0.5)
    whole = sample(denoiser, 7, SamplerConfig(steps=70), seed=9)
    for first, count, batch_size in ((0, 7, 3), (2, 4, 512), (6, 1, 1), (0, 2, 1)):
        config = SamplerConfig(steps=70, batch_size=batch_size)
        part = sample(denoiser, count, config, seed=9, first=first)
        assert torch.equal(part, whole[first : first + count])
    assert len(whole.flatten(1).unique(dim=0)) == 7
    assert not torch.equal(whole, sample(denoiser, 7, SamplerConfig(steps=70), seed=10))


def test_noise_is_standard_normal_and_never_repeats():
    denoiser = Recorder((64,), schedule=DDPMSchedule(100, 0.02, 0.02))
    sample(denoiser, 2, SamplerConfig(steps=100, clip=False), seed=0)
    # With x_hat = 0 the step is x_s = b x_t + c z, so the noise can be had back.
    products = denoiser.schedule.alphas_cumprod.tolist()
    noise = [denoiser.states[0]]
    for t in range(99, 0, -1):
        ratio, share = products[t] / products[t - 1], (1 - products[t - 1]) / (1 - products[t])
        x_t, x_s = denoiser.states[99 - t : 101 - t]
        noise.append((x_s - math.sqrt(ratio) * share * x_t) / math.sqrt((1 - ratio) * share))
    rows = torch.cat(noise)
    assert rows.shape == (200, 64)
    assert abs(float(rows.mean())) < 4 / math.sqrt(rows.numel())
    assert abs(float(rows.var()) - 1) < 4 * math.sqrt(2 / rows.numel())
    correlations = torch.corrcoef(rows) - torch.eye(200)
    assert correlations.abs().max() < 5.5 / math.sqrt(64)  # 20,000 pairs; a repeated row would give 1


def test_the_dtype_is_that_of_the_denoiser_and_the_noise_is_the_same():
    patterns = torch.rand(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    config = SamplerConfig(kind="ddim", steps=20)
    double = sample(ExactDenoiser(patterns, SCHEDULE), 10, config, seed=0)
    single = sample(ExactDenoiser(patterns.float(), SCHEDULE), 10, config, seed=0)
    assert (double.dtype, single.dtype) == (torch.float64, torch.float32)
    torch.testing.assert_close(single.double(), double, atol=1e-3, rtol=0)


def test_progress_counts_every_step_of_every_batch():
    seen = []
    config = SamplerConfig(steps=4, batch_size=2)
    sample(Recorder((2,)), 5, config, seed=0, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 12) for done in range(1, 13)]


def test_no_graph_is_kept():
    denoiser = MLPConfig(width=8, blocks=1).build(
        torch.zeros(1, 2), SCHEDULE, generator=torch.Generator().manual_seed(0)
    )
    assert not sample(denoiser, 2, SamplerConfig(steps=3), seed=0).requires_grad
    assert not reverse(denoiser, torch.zeros(1, 2), 10, 3).requires_grad


def test_reverse_starts_where_it_is_told():
    denoiser = Recorder((2,), offset=5.0)
    x_t = torch.ones(3, 2, dtype=torch.float64)
    assert reverse(denoiser, x_t, 300, 4, clip=False).tolist() == [[5, 5]] * 3
    assert denoiser.times == [300, 200, 100, 0]
    assert torch.equal(denoiser.states[0], x_t)
    assert reverse(denoiser, x_t, 0, 1).tolist() == [[1, 1]] * 3


def test_reverse_follows_the_probability_flow():
    mean, variance, t = 0.2, 0.25, 600
    denoiser = GaussianDenoiser(
        torch.tensor([mean]).double(), torch.tensor([variance]).double(), SCHEDULE, (1,)
    )
    x_t = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    spread = [math.sqrt(bar(s) * variance + 1 - bar(s)) for s in (0, t)]
    x_0 = math.sqrt(bar(0)) * mean + (x_t - math.sqrt(bar(t)) * mean) * spread[0] / spread[1]
    expected = mean + math.sqrt(bar(0)) * variance / spread[0] ** 2 * (x_0 - math.sqrt(bar(0)) * mean)
    # All 601 steps: the error of a first-order method, 2 / 601 at most.
    torch.testing.assert_close(reverse(denoiser, x_t, t, 601, clip=False), expected, atol=3e-3, rtol=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"eta": 0.5}, "`eta` is a field of ddim only; leave it out for ddpm, got 0.5"),
        ({"kind": "ddim", "eta": 1.5}, "`eta`: input should be less than or equal to 1, got 1.5"),
        ({"kind": "ddim", "eta": -0.1}, "`eta`: input should be greater than or equal to 0"),
        ({"kind": "euler"}, "`kind`: input should be 'ddpm' or 'ddim', got 'euler'"),
        ({"steps": 0}, "`steps`: input should be greater than 0, got 0"),
        ({"batch_size": 0}, "`batch_size`: input should be greater than 0, got 0"),
        ({"order": 2}, "there is no field `order`"),
    ],
)
def test_bad_sampler_configurations(values, message):
    with pytest.raises(ValueError, match=message):
        build_config(SamplerConfig, values)


def test_a_sampler_survives_json():
    for config in (SamplerConfig(), SamplerConfig(kind="ddim", eta=1.0, steps=7, clip=False)):
        assert SamplerConfig.model_validate_json(config.model_dump_json()) == config
    assert (SamplerConfig().kind, SamplerConfig().steps, SamplerConfig().clip) == ("ddpm", 1000, True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: sample(d, 0, SamplerConfig(), seed=0), "`count` must be at least 1, got 0"),
        (lambda d: sample(d, 1, SamplerConfig(), seed=0, first=-1), "`first` must be at least 0, got -1"),
        (lambda d: sample(d, 1, SamplerConfig(steps=1001), seed=0), "at most the schedule's 1000, got 1001"),
        (lambda d: reverse(d, torch.zeros(1, 2), 1000, 1), r"`t` must lie in 0..999, got 1000"),
        (lambda d: reverse(d, torch.zeros(1, 2), -1, 1), r"`t` must lie in 0..999, got -1"),
        (lambda d: reverse(d, torch.zeros(1, 2), 9, 11), r"`steps` must lie in 1..10 for a start at step 9"),
        (lambda d: reverse(d, torch.zeros(1, 2), 9, 0), r"`steps` must lie in 1..10 .*, got 0"),
    ],
)
def test_bad_requests(call, message):
    with pytest.raises(ValueError, match=message):
        call(Recorder((2,)))


def test_a_continuous_schedule_has_no_steps():
    denoiser = Recorder((2,), schedule=VESchedule())
    with pytest.raises(ValueError, match="`denoiser` must have a DDPMSchedule to be sampled, got VESchedule"):
        sample(denoiser, 1, SamplerConfig(), seed=0)


def test_noise_drawn_ahead_is_the_same():
    denoiser = Recorder((2,))
    ahead = drawn_ahead(stream_noises(denoiser, 0, range(3)))
    plain = stream_noises(denoiser, 0, range(3))
    for _ in range(5):
        assert torch.equal(next(ahead), next(plain))
    ahead.close()
