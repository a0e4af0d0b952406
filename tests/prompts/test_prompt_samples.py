"""Sample sets of a prompt: drawn once, continued after a kill, and from the command line."""

import numpy as np
import pytest
import torch

import spurion.prompts.samples
from cli.command_line import refused, run
from prompts.tiny_pipelines import largest, stable
from spurion.core.random import generator
from spurion.data import open_images
from spurion.prompts import load_pipeline, walk_down
from spurion.prompts.noises import prompt_noises
from spurion.prompts.samples import PromptSampling, samples_to_file

PROMPT = "a photo of a red square"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return stable(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def pipeline(folder):
    return load_pipeline(folder)


def test_samples_are_those_of_the_walk_from_their_own_noise(pipeline, tmp_path):
    config = PromptSampling(steps=3, batch_size=2)
    denoiser = pipeline.at(PROMPT)
    drawn = samples_to_file(pipeline, denoiser, 3, config, seed=5, path=tmp_path / "set.npz")
    for sample in range(3):
        noise = torch.randn(pipeline.shape, generator=generator(5, "prompt", sample))
        expected = pipeline.decode(walk_down(denoiser, noise.unsqueeze(0), pipeline.walk(3)))
        assert torch.allclose(drawn[sample], expected[0], rtol=0, atol=1e-4)  # but for the batch's rounding
    kept = np.load(tmp_path / "set.npz")
    assert np.array_equal(kept["samples"], drawn.numpy())
    assert not (tmp_path / "set.shards").exists()


def test_latents_are_kept_as_latents(pipeline, tmp_path):
    config = PromptSampling(steps=2, batch_size=2, latents=True)
    drawn = samples_to_file(pipeline, pipeline.at(PROMPT), 2, config, seed=0, path=tmp_path / "set.npz")
    kept = np.load(tmp_path / "set.npz")
    assert set(kept) == {"latents", "request"}
    assert drawn.shape == (2, *pipeline.shape)
    config = PromptSampling(steps=2, batch_size=2)
    images = samples_to_file(pipeline, pipeline.at(PROMPT), 2, config, seed=0, path=tmp_path / "images.npz")
    assert torch.equal(pipeline.decode(drawn), images)


def test_a_killed_set_continues_with_the_same_bytes(pipeline, tmp_path, monkeypatch):
    config, denoiser = PromptSampling(steps=2, batch_size=1), pipeline.at(PROMPT)
    samples_to_file(pipeline, denoiser, 3, config, seed=0, path=tmp_path / "whole.npz")
    calls = []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return walk_down(*arguments)

    monkeypatch.setattr(spurion.prompts.samples, "walk_down", killed)
    with pytest.raises(KeyboardInterrupt):
        samples_to_file(pipeline, denoiser, 3, config, seed=0, path=tmp_path / "set.npz")
    samples_to_file(pipeline, denoiser, 3, config, seed=0, path=tmp_path / "set.npz")
    assert len(calls) == 4  # two finished, one killed, one drawn anew
    assert (tmp_path / "set.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"count": 3}, {"steps": 3}, {"guidance": 2}, {"prompt": "red"}, {"negative": "red"}],
)
def test_a_set_is_of_one_request(pipeline, tmp_path, change):
    def draw(seed=0, count=2, steps=2, guidance=7.5, prompt=PROMPT, negative=""):
        denoiser = pipeline.at(prompt, guidance, negative)
        config = PromptSampling(steps=steps)
        return samples_to_file(pipeline, denoiser, count, config, seed=seed, path=tmp_path / "set.npz")

    draw()
    with pytest.raises(ValueError, match="holds samples of another model, sampler, seed or count"):
        draw(**change)


def test_other_noises_are_noted(pipeline, tmp_path):
    config, denoiser, path = PromptSampling(steps=2), pipeline.at(PROMPT), tmp_path / "set.npz"

    def chosen(members):
        return -prompt_noises(pipeline.shape, members, 0)

    drawn = samples_to_file(pipeline, denoiser, 2, config, seed=0, path=path, noises=("negative", chosen))
    expected = walk_down(denoiser, chosen(range(2)), pipeline.walk(2))
    assert torch.allclose(drawn, pipeline.decode(expected), atol=1e-5)
    with pytest.raises(ValueError, match=r"its sampler\.noises is 'negative', not 'of the seed'"):
        samples_to_file(pipeline, denoiser, 2, config, seed=0, path=path)


def test_progress_counts_every_step(pipeline, tmp_path):
    told = []
    config = PromptSampling(steps=2, batch_size=1, latents=True)
    samples_to_file(
        *(pipeline, pipeline.at(PROMPT, 1), 2, config),
        seed=0,
        path=tmp_path / "set.npz",
        progress=lambda *counts: told.append(counts),
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_set_must_be_named_and_not_empty(pipeline, tmp_path):
    with pytest.raises(ValueError, match="`count` must be at least 1, got 0"):
        samples_to_file(pipeline, pipeline.at("", 1), 0, PromptSampling(), seed=0, path=tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"`path` must end in .npz, got"):
        samples_to_file(pipeline, pipeline.at("", 1), 1, PromptSampling(), seed=0, path=tmp_path / "a.npy")
    with pytest.raises(ValueError, match=r"`steps` must lie in 1..1000, got 2000"):
        config = PromptSampling(steps=2000)
        samples_to_file(pipeline, pipeline.at("", 1), 1, config, seed=0, path=tmp_path / "a.npz")


def test_the_verb_writes_what_an_audit_reads(folder, pipeline, tmp_path):
    out = tmp_path / "set.npz"
    asked = ("--prompt", "a red", "--steps", 3, "--guidance", 3, "--negative", "red", "--count", 4)
    result = run("sample", folder, *asked, "--out", out)
    assert result.exit_code == 0, result.output
    assert f"4 samples: {out}" in result.stdout
    assert "Note" not in result.output
    config = PromptSampling(steps=3)
    expected = samples_to_file(
        pipeline, pipeline.at("a red", 3, "red"), 4, config, seed=0, path=tmp_path / "own.npz"
    )
    assert np.array_equal(np.load(out)["samples"], expected.numpy())
    read = open_images(str(out)).images
    assert torch.equal(read, expected)


def test_the_verb_says_what_was_cut_and_what_is_not_run(tmp_path):
    folder = largest(tmp_path)
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace("{", '{"safety_checker": ["own", "Checker"],', 1))
    result = run(
        *("sample", folder, "--prompt", "photo " * 30, "--negative", "photo " * 11, "--steps", 1, "--half"),
        *("--count", 1, "--latents", "--out", tmp_path / "set.npz"),
    )
    assert result.exit_code == 0, result.output
    cut = " ".join(["photo"] * 20)
    assert f"Note: The prompt is longer than the model's 12 tokens; cut was: {cut}\n" in result.stderr
    assert "Note: The negative prompt is longer than the model's 12 tokens; cut was: photo\n" in result.stderr
    assert "Note: The safety checker of the pipeline is not run." in result.stderr
    assert f"1 latents: {tmp_path / 'set.npz'}" in result.stdout
    assert np.load(tmp_path / "set.npz")["latents"].shape == (1, 4, 4, 8)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "makes no images without a text: give `spurion sample` a --prompt"),
        (("--guidance", 3), "`--guidance` is about the samples of a prompt; give `--prompt` as well"),
        (("--negative", "a"), "`--negative` is about the samples of a prompt"),
        (("--latents",), "`--latents` is about the samples of a prompt"),
        (("--half",), "`--half` is about the samples of a prompt"),
        (("--prompt", "a", "--sampler", "ddpm"), "`--sampler ddpm` is not for samples of a prompt"),
        (("--prompt", "a", "--eta", 0.5), "`--eta` is not for samples of a prompt"),
        (("--prompt", "a", "--clip"), "`--clip` is not for samples of a prompt"),
        (("--prompt", "a", "--steps", 1001), "`steps` must lie in 1..1000, got 1001"),
        (("--prompt", "a", "--guidance", "nan"), "`guidance` must be a finite number"),
    ],
)
def test_options_that_do_not_go_together(folder, tmp_path, options, sentence):
    asked = ("sample", folder, "--count", 1, "--out", tmp_path / "set.npz")
    assert sentence in refused(*asked, *options)
    assert not (tmp_path / "set.npz").exists()


def test_options_that_say_what_is_so_anyway(folder, tmp_path):
    options = ("--prompt", "a", "--steps", 1, "--sampler", "ddim", "--no-clip", "--eta", 0, "--guidance", 1)
    result = run("sample", folder, "--count", 1, "--out", tmp_path / "set.npz", *options)
    assert result.exit_code == 0, result.output


def test_a_model_of_pixels_has_no_prompts(tmp_path):
    model = tmp_path / "model"
    trained = run("train", "digits", "--size", 4, "--out", model, "--set=denoiser={kind: exact}")
    assert trained.exit_code == 0, trained.output
    asked = ("sample", model, "--prompt", "a", "--count", 1, "--out", tmp_path / "set.npz")
    assert "holds a model without prompts" in refused(*asked)
