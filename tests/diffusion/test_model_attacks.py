"""Configurations that somebody wrote to do harm: one sentence or a model that works, never anything else."""

import json

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler

from diffusion.test_model_kinds import network
from spurion.diffusion.folder import load_denoiser
from spurion.diffusion.samplers import SamplerConfig, sample

FILES = ("unet/config.json", "scheduler/scheduler_config.json", "model_index.json")
VALUES = (
    "null", "true", "-1", "0", "1", "3", "2.5", "1e308", "NaN", "Infinity", '""', '"text"', '"\\ud800"', "[]",
    "{}", "[[1]]", "[1, 2]", "[null, null]", '["x", "x"]', "[1000000000, 1000000000]", "1000000",
    "1000000000000", "1" + "0" * 30, "9" * 5000, "[" * 200 + "]" * 200, "[" * 100_000 + "]" * 100_000,
)  # fmt: skip
STRIDE = 11
"""Every field meets some of the values; the number is prime to theirs, so that all of them come in turn."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    DDPMPipeline(network(), DDPMScheduler(num_train_timesteps=50)).save_pretrained(folder)
    return folder


def attacks(folder):
    """Texts of configurations, each with one bad value."""
    for name in FILES:
        values = json.loads((folder / name).read_text())
        for field in values:
            for value in VALUES:
                text = json.dumps({**values, field: "HERE"}).replace('"HERE"', value)
                yield folder / name, text


def test_every_configuration_gives_a_model_or_one_sentence(folder, capfd):
    opened = refused = 0
    for number, (path, text) in enumerate(attacks(folder)):
        if number % STRIDE:
            continue
        before = path.read_text()
        path.write_text(text)
        try:
            with torch.no_grad():
                sample(load_denoiser(folder), 1, SamplerConfig(steps=1), seed=0)
            opened += 1
        except ValueError as error:
            refused += 1
            sentence = str(error)
            assert "\n" not in sentence
            assert len(sentence.encode()) < 1200
            assert str(folder) in sentence
            assert "Exceeds the limit" not in sentence
        finally:
            path.write_text(before)
    assert min(opened, refused) > 15
    assert opened + refused > 100
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[" * 100_000 + "]" * 100_000, "lists and mappings nested more than 64 deep"),
        ('{"a": ' * 100_000 + "1" + "}" * 100_000, "lists and mappings nested more than 64 deep"),
        ('{"steps": ' + "9" * 5000 + "}", "a whole number of 5,000 digits"),
    ],
)
def test_json_beyond_all_bounds_is_one_sentence(folder, name, content, reason):
    before = (folder / name).read_text()
    (folder / name).write_text(content)
    try:
        with pytest.raises(ValueError, match=rf"{name} is damaged \(not valid JSON: {reason}\)"):
            load_denoiser(folder)
    finally:
        (folder / name).write_text(before)
