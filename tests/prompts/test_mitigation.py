"""Mitigation: by words whose weight is known, and by noises whose sharpness numpy computes."""

import numpy as np
import pytest
import torch

import conditional
from cli.command_line import refused, run
from small_prompts import small_config
from spurion.prompts.config import PromptsConfig
from spurion.prompts.detectors import DETECTORS, Detector, Reading
from spurion.prompts.mitigation import (
    calm_noises,
    calm_source,
    candidate_noises,
    drop_words,
    fewer_words,
)
from spurion.prompts.noises import initial_noises, prompt_noises
from spurion.prompts.pipeline import load_pipeline
from spurion.prompts.study.training import train_planted
from spurion.prompts.subject import Seeds, Subject, Text

WORDS = {"one": 0.3, "two": -0.2, "big": 3.0, "huge": 5.0, "void": 0.0}
FIRST = conditional.TIMES[0]


class Line(conditional.Mixture):
    """A model that adds up its words: the keys of all places are one, and a word is a multiple of it."""

    def __init__(self):
        super().__init__()
        self.keys = self.keys[:, :1].expand(-1, conditional.LENGTH, -1)


def embedded(text):
    rows = torch.zeros(conditional.LENGTH, conditional.WIDTH, dtype=torch.float64)
    for place, word in enumerate(text.split()[: conditional.LENGTH]):
        rows[place] = WORDS[word]
    return rows


def reader(given, wrap=lambda model: model):
    def at(embedding):
        return wrap(conditional.denoiser(embedding, mixture=Line()))

    def subject(text):
        words = text.split()[: conditional.LENGTH]
        rows = embedded(text)
        return Subject(at(rows), given, text=Text(tuple(words), tuple(range(len(words))), rows, at))

    return subject


@pytest.fixture
def given():
    return conditional.seeds(3, mixture=Line())


def pull(text, given):
    """The mean length of the noise difference at the first step, by numpy."""
    with_text, without = conditional.Truth(embedded(text).numpy(), Line()), conditional.Truth(None, Line())
    points = given.noises.flatten(1).numpy()
    gaps = [with_text.epsilon(x, FIRST) - without.epsilon(x, FIRST) for x in points]
    return float(np.mean([np.linalg.norm(gap) for gap in gaps]))


def gradient(text, given, place):
    """How fast the pull of single seeds changes with one row of the embedding, by differences of numpy."""
    total = np.zeros(conditional.WIDTH)
    lengths = []
    for x in given.noises.flatten(1).numpy():
        for i in range(conditional.WIDTH):
            values = []
            for step in (1e-5, -1e-5):
                rows = embedded(text).numpy()
                rows[place, i] += step
                gap = conditional.Truth(rows, Line()).epsilon(x, FIRST)
                gap = gap - conditional.Truth(None, Line()).epsilon(x, FIRST)
                values.append(np.linalg.norm(gap))
            total[i] = (values[0] - values[1]) / 2e-5
        lengths.append(np.linalg.norm(total))
    return float(np.mean(lengths))


def test_pulls_are_those_of_the_prompt_without_the_words(given):
    found = drop_words("one huge two", reader(given), lambda _: 1, share=0.01)
    left = ["one", "huge", "two"]
    assert found.pulls[0] == pytest.approx(pull("one huge two", given), rel=1e-6)
    for word, value in zip(found.words, found.pulls[1:], strict=True):
        left.remove(word)
        assert value == pytest.approx(pull(" ".join(left), given), rel=1e-6)
    assert found.prompt == " ".join(left)
    assert len(found.words) == 2  # one word stays
    assert found.reached == (found.pulls[-1] <= 0.01 * found.pulls[0])


def test_it_stops_at_the_share(given):
    whole = pull("big", given)
    assert pull("void", given) == pytest.approx(0, abs=1e-12)
    found = drop_words("void  big", reader(given), lambda word: 1 if word == "big" else 0, share=0.5)
    assert found.words == ("big",)  # the other has no tokens, and weighs nothing
    assert found.prompt == "void"
    assert found.pulls == pytest.approx((whole, 0), rel=1e-6, abs=1e-9)
    assert found.reached


def test_the_words_of_one_sum_weigh_alike_and_the_first_is_dropped(given):
    heavy = [gradient("one two big huge", given, place) for place in range(4)]
    assert max(heavy) == pytest.approx(min(heavy), rel=1e-6)
    read = DETECTORS["token-attribution"](reader(given)("one two big huge")).detail["tokens"]
    assert read == pytest.approx(heavy, rel=1e-5)


@pytest.mark.parametrize(
    ("weights", "heaviest"),
    [((0.6, 0.4, 0.5, 0.7), "huge"), ((0.6, 0.1, 0.9, 0.5), "twobig"), ((0.8, 0.1, 0.7, 0.2), "one")],
)
def test_a_word_is_as_heavy_as_its_heaviest_token(given, monkeypatch, weights, heaviest):
    class Stated(Detector):
        name, unit, source, higher = "token-attribution", "1", "here", True

        def read(self, subject):
            return Reading(torch.zeros(3), 0.0, {"tokens": list(weights)})

    monkeypatch.setitem(DETECTORS, "token-attribution", Stated())
    tokens = {"one": 1, "twobig": 2, "huge": 1}
    texts = iter(["one huge", "void"])
    found = drop_words("one twobig huge", lambda _: reader(given)(next(texts)), tokens.get)
    assert found.words == (heaviest,)


def test_one_word_is_left_as_it_is(given):
    found = drop_words(" huge ", reader(given), lambda _: 1)
    assert (found.prompt, found.words, found.reached) == ("huge", (), False)
    assert found.evaluations == 3  # the prompt at three seeds; those without it are shared


def test_an_empty_prompt_is_left_as_it_is(given):
    found = drop_words("", reader(given), lambda _: 1)
    assert (found.prompt, found.words, found.pulls) == ("", (), (0.0,))
    assert found.reached


def test_the_cost_is_that_of_all_rounds(given):
    found = drop_words("one huge", reader(given), lambda _: 1, share=1e-6)
    # at three seeds: the prompt, a pass with its derivative for the weights, and the shorter prompt
    assert found.evaluations == 3 * (1 + 2) + 3


def test_a_model_that_answers_nan_drops_nothing(given):
    found = drop_words("one huge", reader(given, conditional.Broken), lambda _: 1)
    assert found.words == ()
    assert not found.reached


@pytest.mark.parametrize("share", [0.0, 1.0, float("nan")])
def test_shares_out_of_range_are_refused(given, share):
    with pytest.raises(ValueError, match="`share` must lie between 0 and 1"):
        drop_words("one", reader(given), lambda _: 1, share=share)


def calm(noises, **changed):
    return conditional.subject(conditional.seeds(noises=noises.double()), **changed)


def sharpness(x):
    """The length of the Hessians' difference times the scores' difference, by numpy."""
    with_text, without = conditional.Truth(conditional.EMBEDDING.numpy()), conditional.Truth()
    hessians = with_text.hessian(x, FIRST) - without.hessian(x, FIRST)
    return float(np.linalg.norm(hessians @ (with_text.score(x, FIRST) - without.score(x, FIRST))))


def test_the_calmest_candidate_of_each_sample_is_chosen():
    found = calm_noises(calm, conditional.SHAPE, 3, candidates=5, seed=2)
    candidates = candidate_noises(conditional.SHAPE, range(3), 5, 2)
    for sample in range(3):
        known = [sharpness(x) for x in candidates[sample].double().flatten(1).numpy()]
        assert found.sharpness[sample].tolist() == pytest.approx(known, rel=1e-6)
        assert found.chosen[sample] == int(np.argmin(known))
        assert torch.equal(found.noises[sample], candidates[sample, np.argmin(known)])
    assert len({*found.chosen}) > 1
    # of each candidate: both scores, and both again with their derivatives
    assert found.evaluations == 15 * (1 + 1 + 2 + 2)


def test_candidates_are_the_usual_noise_and_others_of_their_own():
    candidates = candidate_noises(conditional.SHAPE, range(4), 3, 2)
    assert torch.equal(candidates[:, 0], prompt_noises(conditional.SHAPE, range(4), 2))
    assert torch.equal(candidates[:, 0], initial_noises(conditional.SHAPE, 4, 2))
    assert torch.equal(candidates[2:], candidate_noises(conditional.SHAPE, range(2, 4), 3, 2))
    assert len(candidates.flatten(2).flatten(0, 1).unique(dim=0)) == 12
    assert torch.equal(candidate_noises(conditional.SHAPE, range(4), 2, 2), candidates[:, :2])


def test_candidates_are_standard_normal():
    values = candidate_noises((10, 10), range(10), 11, 0)[:, 1:].double().flatten()
    assert len(values) == 10_000
    assert abs(float(values.mean())) < 4 / 100  # four standard errors, 1 / sqrt(10,000)
    assert abs(float(values.var()) - 1) < 4 * 2**0.5 / 100


def test_a_sample_depends_on_its_number_alone():
    together = calm_noises(calm, conditional.SHAPE, 3, candidates=4, seed=1)
    alone = calm_noises(calm, conditional.SHAPE, 1, first=2, candidates=4, seed=1)
    assert torch.equal(together.noises[2], alone.noises[0])
    assert together.chosen[2] == alone.chosen[0]


def test_one_candidate_is_the_usual_noise():
    found = calm_noises(calm, conditional.SHAPE, 2, candidates=1, seed=4)
    assert torch.equal(found.noises, prompt_noises(conditional.SHAPE, range(2), 4))


def test_a_model_that_answers_nan_keeps_the_usual_noise():
    found = calm_noises(
        lambda noises: calm(noises, wrap=conditional.Broken), conditional.SHAPE, 2, candidates=3, seed=4
    )
    assert found.chosen == (0, 0)
    assert found.sharpness.isnan().all()


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match="`candidates` must be at least 1, got 0"):
        calm_noises(calm, conditional.SHAPE, 1, candidates=0, seed=0)
    with pytest.raises(ValueError, match="`count` must be at least 1, got 0"):
        calm_noises(calm, conditional.SHAPE, 0, seed=0)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return train_planted(small_config(), tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def pipeline(planted):
    return load_pipeline(planted.model)


def test_a_pipeline_leaves_out_words(pipeline, planted):
    prompt, config = planted.planting.captions[0], PromptsConfig(steps=3)
    seeds = Seeds(pipeline.at("", 0.0), prompt_noises(pipeline.shape, range(2), 0), pipeline.walk(3))
    found = fewer_words(pipeline, prompt, seeds, config, share=0.9)
    assert sorted([*found.words, *found.prompt.split()]) == sorted(prompt.split())
    assert len(found.pulls) == len(found.words) + 1

    def pulled(text):
        both = [pipeline.at(one, 1.0).epsilon(seeds.noises, seeds.walk.times[0]) for one in (text, "")]
        return float((both[0] - both[1]).flatten(1).norm(dim=1).mean())

    assert found.pulls[0] == pytest.approx(pulled(prompt), rel=1e-4)
    assert found.pulls[-1] == pytest.approx(pulled(found.prompt), rel=1e-4)


def test_a_pipeline_chooses_noises(pipeline, planted):
    prompt, config = planted.planting.captions[0], PromptsConfig(steps=3, seed=5)
    source = calm_source(pipeline, prompt, config, candidates=3)
    found = source(range(2))
    assert found.sharpness.shape == (2, 3)
    assert (found.sharpness > 0).all()
    assert found.chosen == tuple(found.sharpness.argmin(dim=1).tolist())
    assert torch.equal(source(range(1, 2)).noises, found.noises[1:])


def sampled(planted, out, *options):
    result = run("sample", planted.model, "--count", 3, "--steps", 3, "--out", out, *options)
    assert result.exit_code == 0, result.output
    return np.load(out)["samples"], result


def test_samples_without_the_heaviest_words_are_those_of_what_is_left(planted, tmp_path):
    prompt = planted.planting.captions[0]
    less, result = sampled(planted, tmp_path / "a.npz", "--prompt", prompt, "--mitigate", "tokens")
    told = next(line for line in result.output.replace("\n", " ").split("Left out: ")[1:])
    gone = told.split(";")[0].split(", ")
    assert {*gone} <= {*prompt.split()}
    left = prompt.split()
    for word in gone:
        left.remove(word)
    usual, _ = sampled(planted, tmp_path / "b.npz", "--prompt", " ".join(left))
    assert np.array_equal(less, usual)


def test_samples_of_calm_noises_differ_and_can_be_asked_for_again(planted, tmp_path):
    options = ("--prompt", planted.planting.captions[0], "--seed", 2)
    calmer, _ = sampled(planted, tmp_path / "a.npz", *options, "--mitigate", "noise")
    again, _ = sampled(planted, tmp_path / "a.npz", *options, "--mitigate", "noise")
    usual, _ = sampled(planted, tmp_path / "b.npz", *options)
    assert np.array_equal(calmer, again)
    assert not np.array_equal(calmer, usual)
    assert calmer.shape == (3, 1, 8, 8)


def test_mitigation_needs_a_prompt(planted, tmp_path):
    sentence = refused(
        "sample", planted.model, "--count", 1, "--out", tmp_path / "a.npz", "--mitigate", "noise"
    )
    assert "`--mitigate` is about the samples of a prompt" in sentence
