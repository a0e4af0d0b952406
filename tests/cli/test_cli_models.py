"""Training and sampling from the command line; the exact denoiser makes every answer known."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import spurion.diffusion.sampleset
import spurion.report
from cli.command_line import TINY_STUDY, refused, run
from spurion.data import load_split, nested_order

EXACT = "--set=denoiser={kind: exact}"
QUICK = ("--set=training.iterations=20", "--set=training.warmup=2")


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    """The folder of an exact denoiser of 5 digits."""
    folder = tmp_path_factory.mktemp("models") / "exact"
    result = run("train", "digits", "--size", 5, "--out", folder, EXACT, "--seed", 3)
    assert result.exit_code == 0, result.output
    return folder


def test_train_keeps_the_images_it_was_trained_on(exact):
    images = load_split("digits").train.images
    expected = images[nested_order(len(images), 3)[:5]]
    assert np.array_equal(np.load(exact / "train.npz")["samples"], expected)


def test_samples_of_an_exact_denoiser_are_its_patterns(exact, tmp_path):
    out = tmp_path / "[a] set.npz"
    result = run("sample", exact, "--count", 12, "--steps", 50, "--out", out)
    assert result.exit_code == 0, result.output
    assert f"12 samples: {out}" in result.stdout
    samples = torch.from_numpy(np.load(out)["samples"]).flatten(1)
    patterns = torch.from_numpy(np.load(exact / "train.npz")["samples"]).flatten(1)
    assert torch.cdist(samples, patterns).min(dim=1).values.max() < 1e-3
    classified = run(
        *("classify", "--train", exact / "train.npz", "--samples", out, "--thresholds=fixed:0.01,0.01")
    )
    assert ["memorized", "12", "100.0"] in [line.split()[:3] for line in classified.stdout.splitlines()]


def test_a_model_is_that_of_the_study_s_point(tmp_path, monkeypatch):
    monkeypatch.setattr(spurion.report, "write_report", lambda folder: folder / "report.html")
    options = (*TINY_STUDY, "--set=geometry=null", "--set=flow=null", "--seed", 1)
    study = run("study", "digits", *options, "--out", tmp_path / "study")
    assert study.exit_code == 0, study.output
    alone = run("train", "digits", "--size", 6, *QUICK, "--out", tmp_path / "alone", "--seed", 1)
    assert alone.exit_code == 0, alone.output
    weights = "model/unet/diffusion_pytorch_model.safetensors"
    ours, theirs = tmp_path / "alone" / weights, tmp_path / "study" / "points" / "000006" / weights
    ours, theirs = load_file(ours), load_file(theirs)
    assert set(ours) == set(theirs)
    # Equal but for rounding: a study's processes may have another number of threads.
    assert all(torch.allclose(ours[name], theirs[name], rtol=0, atol=1e-5) for name in ours)
    again = run("train", "digits", "--size", 6, *QUICK, "--out", tmp_path / "alone", "--seed", 1)
    assert again.exit_code == 0
    assert "train" not in again.stderr


def test_the_sampler_s_options_are_heard(tmp_path):
    model = tmp_path / "gaussian"
    assert (
        run("train", "digits", "--size=20", "--out", model, "--set=denoiser={kind: gaussian}").exit_code == 0
    )

    def samples(*options):
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}.npz"
        result = run("sample", model, "--count", 6, "--steps", 3, "--out", out, *options)
        assert result.exit_code == 0, result.output
        return np.load(out)["samples"]

    first = samples()
    assert np.array_equal(first, samples("--seed", 0, "--device", "cpu"))
    assert np.allclose(first, samples("--batch-size", 4), atol=1e-5)
    for options in (["--seed=1"], ["--sampler=ddim"], ["--steps=7"], ["--no-clip"]):
        assert not np.array_equal(first, samples(*options)), options
    assert not np.array_equal(samples("--sampler=ddim"), samples("--sampler=ddim", "--eta=0.5"))


def test_sampling_continues_where_it_was_stopped(exact, tmp_path, monkeypatch):
    arguments = ("sample", exact, "--count", 6, "--steps", 3, "--batch-size", 2, "--out")
    whole = tmp_path / "whole.npz"
    assert run(*arguments, whole).exit_code == 0
    original, calls = spurion.diffusion.sampleset.sample, []

    def stopped(*given, **options):
        calls.append(options["first"])
        if options["first"] == 4 and calls.count(4) == 1:
            raise KeyboardInterrupt
        return original(*given, **options)

    monkeypatch.setattr(spurion.diffusion.sampleset, "sample", stopped)
    broken = tmp_path / "broken.npz"
    first = run(*arguments, broken)
    assert first.exit_code == 130
    assert "the same command continues" in first.stderr
    assert not broken.exists()
    assert run(*arguments, broken).exit_code == 0
    assert calls == [0, 2, 4, 4]
    assert broken.read_bytes() == whole.read_bytes()
    assert "another model, sampler, seed or count" in refused(*arguments, broken, "--seed", 9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size=0"], "Invalid value for '--size'"),
        (["--size=2000"], "2000 training images, but digits has 1438"),
        (
            ["--size=2", "--recipe=digitz"],
            "digits, mnist-5k-small, emoji-small, mnist-5k, mnist, fashion-mnist, cifar10",
        ),
        (["--size=2", "--set=training.iterations=0"], "`training.iterations`"),
        (["--size=2", "--set=training.speed=9"], "there is no field `training.speed`"),
        (["--size=2", "--set=training"], "field=value"),
        (["--size=2", "--device=tpu"], "'--device': 'tpu' is not one of 'auto', 'cpu', 'cuda', 'mps'"),
    ],
)
def test_train_refuses(tmp_path, options, words):
    out = tmp_path / "model"
    assert words in refused("train", "digits", "--out", out, *options)
    assert not out.exists()


def test_train_refuses_a_folder_of_another_training(exact):
    sentence = refused("train", "digits", "--size", 6, "--out", exact, EXACT, "--seed", 3)
    assert "another configuration: `train_sizes`" in sentence


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--count=0", "--out=a.npz"], "Invalid value for '--count'"),
        (["--count=2", "--out=a.npz", "--eta=0.5"], "`eta` is a field of ddim only"),
        (["--count=2", "--out=a.npz", "--steps=1001"], "`steps` must be at most the schedule's 1000"),
        (["--count=2", "--out=a.zip"], "must end in .npz, got a.zip"),
    ],
)
def test_sample_refuses(exact, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    assert words in refused("sample", exact, *options)
    assert not list(tmp_path.iterdir())


def test_sample_refuses_a_folder_without_a_model(tmp_path):
    out = tmp_path / "a.npz"
    assert "There is no file or folder" in refused("sample", tmp_path / "none", "--count", 2, "--out", out)
    (tmp_path / "nothing").mkdir()
    assert "is no model folder" in refused("sample", tmp_path / "nothing", "--count", 2, "--out", out)


def test_sample_refuses_a_truncated_model(exact, tmp_path):
    model = tmp_path / "model"
    for path in (exact / "model").rglob("*"):
        if path.is_file():
            copy = model / path.relative_to(exact / "model")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes()[: -20 if path.suffix == ".safetensors" else None])
    sentence = refused("sample", model, "--count", 2, "--out", tmp_path / "a.npz")
    assert "denoiser.safetensors is damaged" in sentence
