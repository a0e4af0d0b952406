"""`--distance` and `--weights` where images are compared."""

import json

import pytest
import torch

from cli.command_line import refused, run, write_images
from spurion.core.random import generator
from spurion.neighbors import save_features
from spurion.neighbors.lpips import weights


@pytest.fixture
def sources(tmp_path):
    """12 images; 5 samples, of which the first two are copies."""
    train = torch.rand(12, 1, 8, 8, generator=generator(0, "cli", "train")) * 2 - 1
    new = torch.rand(3, 1, 8, 8, generator=generator(0, "cli", "new")) * 2 - 1
    samples = torch.cat([train[[4, 7]], new])
    paths = [
        write_images(tmp_path / f"{name}.npz", x) for name, x in (("train", train), ("samples", samples))
    ]
    return *paths, torch.cat([train, samples])


RANDOM = ("--distance", "lpips-alex", "--weights", "random:0")


def test_neighbors_by_lpips(sources):
    train, samples, _ = sources
    arguments = ("neighbors", "--queries", samples, "--reference", train, *RANDOM)
    found = json.loads(run(*arguments, "--json").stdout)
    assert found["distance"]["name"] == "lpips-alex (random weights, seed 0)"
    assert found["distance"]["weights"] == "random:0"
    assert "enlarged to 32 x 32" in found["notes"][0]
    assert [row["indices"][0] for row in found["neighbors"][:2]] == [4, 7]
    assert [row["distances"][0] for row in found["neighbors"][:2]] == [0, 0]
    shown = run(*arguments).stdout
    assert "Distance: lpips-alex (random weights, seed 0); random:0." in shown
    assert "Note: lpips-alex has random weights" in shown
    assert "Exact copies (distance 0): 2." in shown


def test_classify_by_lpips(sources):
    train, samples, _ = sources
    arguments = (
        "classify",
        "--train",
        train,
        "--samples",
        samples,
        "--thresholds",
        "fixed:1e-9,1e-9",
        *RANDOM,
    )
    found = json.loads(run(*arguments, "--json").stdout)
    assert found["counts"] == [2, 0, 3]
    assert found["distance"]["name"] == "lpips-alex (random weights, seed 0)"
    assert "Note: lpips-alex has random weights, seed 0" in run(*arguments).stdout


def test_classify_by_features(sources, tmp_path):
    train, samples, images = sources
    save_features(tmp_path / "v.npz", images, images.flatten(1)[:, ::4].contiguous())
    arguments = ("classify", "--train", train, "--samples", samples, "--thresholds", "fixed:1e-9,1e-9")
    result = run(*arguments, "--distance", "features", "--weights", tmp_path / "v.npz", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["counts"] == [2, 0, 3]


def test_what_is_missing_is_one_sentence(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(weights, "LINEAR_FOLDERS", {})
    train, samples, _ = sources
    arguments = ("neighbors", "--queries", samples, "--reference", train)
    sentence = refused(*arguments, "--distance", "lpips-vgg")
    assert "vgg16-397923af.pth" in sentence
    assert "--weights" in sentence
    assert "features" in refused(*arguments, "--distance", "features")
    assert "random:SEED" in refused(*arguments, "--distance", "lpips-alex", "--weights", "random")
    assert "has no weights" in refused(*arguments, "--weights", "random:0")


def test_doctor_names_the_files_that_are_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(weights, "LINEAR_FOLDERS", {})
    shown = run("doctor").stdout
    for name in ("alexnet-owt-7be5be79.pth", "vgg16-397923af.pth", "squeezenet1_1-b8a52dc0.pth"):
        assert name in shown
    distances = json.loads(run("doctor", "--json").stdout)["distances"]
    assert distances["l2"] == distances["cosine"] == "ready"
    assert "save_features" in distances["features"]
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "alexnet-owt-7be5be79.pth").touch()
    assert "linear weights alex.pth" in json.loads(run("doctor", "--json").stdout)["distances"]["lpips-alex"]
    monkeypatch.setattr(weights, "_packaged", lambda name: [folder / "alexnet-owt-7be5be79.pth"])
    assert json.loads(run("doctor", "--json").stdout)["distances"]["lpips-alex"] == "ready"
