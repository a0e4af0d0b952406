"""Model folders of others at the command line: another kind, another model in the same place, no numbers."""

import json
import shutil

import numpy as np
import pytest
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler
from safetensors.torch import load_file, save_file

from cli.command_line import refused, run, write_images
from diffusion.test_model_kinds import edit, network
from spurion.diffusion.weights_file import WEIGHTS_FILE


@pytest.fixture
def model(tmp_path):
    DDPMPipeline(network(), DDPMScheduler(num_train_timesteps=20)).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def latent(model):
    """A pipeline whose network makes latents."""
    DDIMScheduler(num_train_timesteps=20, clip_sample=False).save_config(model / "scheduler")
    parts = {"unet": "UNet2DModel", "scheduler": "DDIMScheduler", "vqvae": "VQModel"}
    index = {"_class_name": "LDMPipeline", **{part: ["diffusers", name] for part, name in parts.items()}}
    (model / "model_index.json").write_text(json.dumps(index))
    return model


@pytest.fixture
def train(tmp_path):
    images = np.random.default_rng(0).uniform(-1, 1, (60, 1, 8, 8))
    return write_images(tmp_path / "train.npz", images)


def drawing(train, model, *more):
    return (
        "audit",
        "--train",
        train,
        "--model",
        model,
        "--generate",
        40,
        "--thresholds=fixed:0.5,0.5",
        *more,
    )


def test_a_latent_pipeline_is_refused_by_name(latent, train, tmp_path):
    words = "'LDMPipeline' (images in the latents of another network) is not supported"
    out = tmp_path / "out"
    assert words in refused("sample", latent, "--count", 4, "--steps", 5, "--out", out / "a.npz")
    assert words in refused(*drawing(train, latent, "--out", out))
    assert words in refused("geometry", latent, "digits", "--limit", 2)
    assert not out.exists()


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("scheduler/scheduler_config.json", {"prediction_type": "v_prediction"}),
        ("scheduler/scheduler_config.json", {"beta_end": 0.03}),
        ("scheduler/scheduler_config.json", {"clip_sample_range": 0.5}),
        ("unet/config.json", {"flip_sin_to_cos": False}),
        ("unet/config.json", {"attention_head_dim": 2}),
    ],
)
def test_an_edited_model_does_not_get_the_samples_of_the_former(model, tmp_path, file, change):
    out = tmp_path / "samples.npz"
    command = ("sample", model, "--count", 4, "--steps", 3, "--out", out)
    assert run(*command).exit_code == 0
    before = out.read_bytes()
    assert run(*command).exit_code == 0
    edit(model / file, **change)
    assert "samples.npz holds samples of another model" in refused(*command)
    assert out.read_bytes() == before
    out.unlink()
    assert run(*command).exit_code == 0
    assert out.read_bytes() != before


def test_an_audit_never_shows_a_hash_beside_samples_of_another_model(model, train, tmp_path, words_only):
    folder = tmp_path / "audit"
    command = drawing(train, model, "--out", folder)
    result = run(*command)
    assert result.exit_code == 0, result.output
    audited = json.loads((folder / "audit.json").read_text())
    assert audited["model"]["sampler"]["steps"] == 20  # all of a scheduler that has fewer than 1,000
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    edit(model / "scheduler" / "scheduler_config.json", prediction_type="sample")
    assert "samples.npz holds samples of another model" in refused(*command)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_steps_that_are_not_given_are_those_of_the_scheduler(model, tmp_path):
    result = run("sample", model, "--count", 3, "--out", tmp_path / "all.npz")
    assert result.exit_code == 0, result.output
    assert run("sample", model, "--count", 3, "--steps=20", "--out", tmp_path / "given.npz").exit_code == 0
    assert (tmp_path / "all.npz").read_bytes() == (tmp_path / "given.npz").read_bytes()
    sentence = refused("sample", model, "--count", 3, "--steps=21", "--out", tmp_path / "more.npz")
    assert "`steps` must be at most the schedule's 20, got 21" in sentence


def spoil(model, number, name="conv_out.weight", dtype=None):
    file = model / "unet" / WEIGHTS_FILE
    weights = load_file(file)
    weights[name].fill_(number)
    save_file(weights, file)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (float("nan"), "`conv_out.weight` holds 72 numbers of 72 that are NaN or infinite"),
        (float("inf"), "`conv_out.weight` holds 72 numbers of 72 that are NaN or infinite"),
        (3e38, "answers NaN or infinity at step"),
    ],
)
def test_a_model_without_numbers_is_refused_and_nothing_written(model, train, tmp_path, number, words):
    spoil(model, number)
    out = tmp_path / "out"
    for command in (
        ("sample", model, "--count", 4, "--steps", 3, "--out", out / "a.npz"),
        drawing(train, model, "--steps=3", "--out", out),
        drawing(train, model, "--steps=3"),
        ("geometry", model, train, "--limit", 2, "--out", out / "a.csv"),
        ("geometry", model, train, "--train", train, "--limit", 2),
    ):
        sentence = refused(*command)
        assert words in sentence
        assert str(model) in sentence
    assert not out.exists()


def test_a_training_that_diverges_is_no_fault_of_spurion(tmp_path):
    out = tmp_path / "model"
    options = ["--set=training.learning_rate=1e30", "--set=training.clip_norm=null"]
    options += ["--set=training.iterations=20", "--set=training.warmup=0", "--set=training.log_every=2"]
    sentence = refused("train", "digits", "--size=4", "--out", out, *options)
    assert "The training loss became" in sentence
    assert not (out / "model").exists()


def test_parts_beside_the_index_are_sampled(model, tmp_path):
    out = tmp_path / "first.npz"
    assert run("sample", model, "--count", 3, "--out", out).exit_code == 0
    for part in ("unet", "scheduler"):
        for path in (model / part).iterdir():
            shutil.move(path, model / path.name)
        (model / part).rmdir()
    again = tmp_path / "again.npz"
    assert run("sample", model, "--count", 3, "--out", again).exit_code == 0
    assert np.array_equal(np.load(out)["samples"], np.load(again)["samples"])
