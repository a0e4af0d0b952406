"""Images against images: planted copies must come back with known counts and distances."""

import csv
import json
import math
import re

import numpy as np
import pytest
import torch

from cli.command_line import refused, run, write_images
from spurion.core.random import generator
from spurion.data import open_images

SHAPE = (1, 4, 4)


def spread(count, stream):
    """Random images; in 16 dimensions far apart: no two of these sets are within 0.5."""
    return torch.rand(count, *SHAPE, generator=generator(0, "cli", stream)) * 2 - 1


@pytest.fixture
def planted(tmp_path):
    """20 training images; 7 near copies of them, 6 in three pairs, 5 alone."""
    train, pairs, alone = spread(20, "train"), spread(3, "pairs"), spread(5, "alone")
    near = train[[0, 1, 2, 3, 4, 5, 5]].clone()
    near[:6, 0, 0, 0] -= 0.01 * near[:6, 0, 0, 0].sign()
    twins = pairs.clone()
    twins[:, 0, 1, 1] -= 0.02 * twins[:, 0, 1, 1].sign()
    samples = torch.cat([near, pairs, twins, alone])
    return (
        write_images(tmp_path / "train.npz", train),
        write_images(tmp_path / "samples.npz", samples),
        write_images(tmp_path / "other.npz", spread(20, "holdout")),
    )


def test_planted_sets_are_apart(planted):
    train, samples, other = (torch.from_numpy(np.load(path)["samples"]).flatten(1) for path in planted)
    assert torch.cdist(samples[7:], train).min() > 0.5
    assert torch.cdist(samples[13:], samples[:13]).min() > 0.5
    assert torch.cdist(other, train).min() > 0.5


def test_classify_counts_what_was_planted(planted, tmp_path):
    train, samples, _ = planted
    result = run(
        *("classify", "--train", train, "--samples", samples, "--thresholds=fixed:0.1,0.2", "--json"),
        *("--out", tmp_path / "found"),
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["counts"] == [7, 6, 5]
    assert found["fractions"]["memorized"]["value"] == pytest.approx(7 / 18)
    assert found["thresholds"]["rule"] == "fixed:0.1,0.2"
    inputs = found["inputs"]
    assert (inputs["train"]["count"], inputs["samples"]["count"], inputs["holdout"]) == (20, 18, None)
    assert json.loads((tmp_path / "found" / "audit.json").read_text()) == found
    names = sorted(path.name for path in (tmp_path / "found").iterdir())
    assert names == [".seals", "audit.json", "gallery.npz", "samples.csv"]
    rows = list(csv.DictReader((tmp_path / "found" / "samples.csv").open()))
    assert [row["label"] for row in rows] == ["memorized"] * 7 + ["spurious"] * 6 + ["generalized"] * 5
    assert [int(row["nearest_train"]) for row in rows[:7]] == [0, 1, 2, 3, 4, 5, 5]
    assert float(rows[6]["distance_train"]) == 0


def test_classify_prints_a_table(planted, tmp_path):
    train, samples, _ = planted
    out = tmp_path / "[red]found"
    result = run(
        *("classify", "--train", train, "--samples", samples, "--thresholds", "fixed:0.1,0.2"), "--out", out
    )
    assert "Thresholds by the rule fixed:0.1,0.2: memorized 0.1, spurious 0.2." in result.stdout
    words = result.stdout.split()
    assert words[words.index("memorized", words.index("class")) :][:3] == ["memorized", "7", "38.9"]
    assert f"Every sample: {out}" in result.stdout.replace("\n", "")
    assert "search train" in result.stderr


def test_classify_by_the_held_out_null(planted):
    train, samples, other = planted
    result = run("classify", "--train", train, "--samples", samples, "--holdout", other)
    assert result.exit_code == 0, result.output
    assert "Thresholds by the rule null:0.01" in result.stdout
    assert "of the samples lie closer to the training set than to an equally large set" in result.stdout


def test_classify_without_enough_real_images_says_so(tmp_path):
    train, samples = (write_images(tmp_path / f"{name}.npz", spread(30, name)) for name in ("a", "b"))
    result = run("classify", "--train", train, "--samples", samples)
    assert result.exit_code == 0
    assert "memorized not identifiable" in result.stdout
    assert "Note: " in result.stdout


def test_neighbors_of_planted_copies(planted, tmp_path):
    train, samples, _ = planted
    arguments = (
        "neighbors",
        "--queries",
        samples,
        "--reference",
        train,
        "-k",
        2,
        "--out",
        tmp_path / "p.csv",
    )
    found = json.loads(run(*arguments, "--json").stdout)
    assert found["distance"] == {"name": "l2", "unit": "pixel values in [-1, 1]", "weights": None}
    assert [row["indices"][0] for row in found["neighbors"][:7]] == [0, 1, 2, 3, 4, 5, 5]
    assert [row["distances"][0] for row in found["neighbors"][:7]] == pytest.approx(
        [0.01] * 6 + [0], abs=1e-6
    )
    assert found["work"].keys() == {"engine", "pairs", "recomputed"}
    assert found["work"]["pairs"] == 18 * 20
    assert 36 / 360 <= found["work"]["recomputed"] <= 1
    rows = list(csv.DictReader((tmp_path / "p.csv").open()))
    assert len(rows) == 2 * 18
    assert {**rows[13]} == {
        **{"query": "6", "rank": "2", "query_name": "", "neighbor_name": ""},
        "neighbor": str(found["neighbors"][6]["indices"][1]),
        "distance": repr(found["neighbors"][6]["distances"][1]),
        "distance_name": "l2",
    }


def test_the_file_of_neighbors_says_that_weights_are_random(planted, tmp_path):
    train, samples, _ = planted
    arguments = ("--distance", "lpips-squeeze", "--weights", "random:3", "--out", tmp_path / "p.csv")
    run("neighbors", "--queries", samples, "--reference", train, *arguments)
    rows = list(csv.DictReader((tmp_path / "p.csv").open()))
    assert {row["distance_name"] for row in rows} == {"lpips-squeeze (random weights, seed 3)"}


def test_neighbors_are_shown_nearest_first(planted):
    train, samples, _ = planted
    shown = run("neighbors", "--queries", samples, "--reference", train).stdout
    assert shown.startswith("Queries: 18 of samples.\nReference: 20 of train.\n")
    assert re.search(r"Compared: 360 pairs by \w+, of which \d+\.\d\d% were recomputed\.", shown)
    assert "Exact copies (distance 0): 1." in shown
    assert "Distance to the nearest: from 0 to " in shown
    table = [line.split() for line in shown.splitlines() if line.strip()[:1].isdigit()]
    assert table[0] == ["6", "5", "0"]
    assert len(table) == 10


def test_neighbors_within_a_set(planted):
    _, samples, _ = planted
    arguments = ("neighbors", "--queries", samples, "--reference", samples, "--json")
    alone = json.loads(run(*arguments, "--exclude-self").stdout)["neighbors"]
    assert [alone[i]["indices"][0] for i in range(7, 13)] == [10, 11, 12, 7, 8, 9]
    same = json.loads(run(*arguments).stdout)["neighbors"]
    assert all(row["distances"] == [0] for row in same)


def test_names_of_files_are_kept(tmp_path):
    from PIL import Image

    folder = tmp_path / "[bold]pictures"
    folder.mkdir()
    for name, level in (("a[/b].png".replace("/", "!"), 10), ("b.png", 200)):
        Image.new("L", (4, 4), level).save(folder / name)
    arguments = ("neighbors", "--queries", folder, "--reference", folder, "--exclude-self")
    shown = run(*arguments, "--out", tmp_path / "p.csv").stdout
    assert "a[!b].png" in shown
    assert "[bold]pictures" in shown
    names = [(row["query_name"], row["neighbor_name"]) for row in csv.DictReader((tmp_path / "p.csv").open())]
    assert names == [("a[!b].png", "b.png"), ("b.png", "a[!b].png")]


def test_sources_may_be_resized(tmp_path):
    small = write_images(tmp_path / "small.npz", spread(3, "small"))
    arguments = ("neighbors", "--queries", "digits", "--reference", small, "--json")
    assert "shape" in refused(*arguments)
    found = json.loads(run(*arguments, "--resize", 4).stdout)
    assert found["queries"]["shape"] == [1, 4, 4]


def test_a_range_is_declared_for_classify_and_neighbors(planted, tmp_path):
    train, samples, _ = planted
    np.savez(tmp_path / "floats.npz", images=(np.load(train)["samples"] + 1) / 2)
    pair = ("--train", tmp_path / "floats.npz", "--samples", samples, "--thresholds=fixed:0.1,0.2", "--json")
    assert "`value_range`" in refused("classify", *pair)
    assert json.loads(run("classify", *pair, "--value-range=train=0,1").stdout)["counts"] == [7, 6, 5]
    pair = ("--queries", tmp_path / "floats.npz", "--reference", train, "--json")
    assert "`value_range`" in refused("neighbors", *pair)
    found = json.loads(run("neighbors", *pair, "--value-range=queries=0,1").stdout)
    assert (
        max(distance for one in found["neighbors"] for distance in one["distances"]) < 1e-5
    )  # rounding of (x + 1) / 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--thresholds=fixed:0.1"], "fixed"),
        (["--thresholds=holdout:0.1"], "held-out"),
        (["--thresholds=magic"], "magic"),
        (["--distance=l7"], "l7"),
        (["--samples=no/such/thing.npz"], "no/such/thing.npz"),
    ],
)
def test_classify_refuses(planted, options, words):
    train, samples, _ = planted
    assert words in refused("classify", "--train", train, "--samples", samples, *options)


def test_classify_refuses_images_that_are_not_numbers(planted, tmp_path):
    train, _, _ = planted
    bad = spread(3, "bad")
    bad[1, 0, 2, 2] = math.nan
    sentence = refused(
        "classify", "--train", train, "--samples", write_images(tmp_path / "bad.npz", bad), "--json"
    )
    assert "bad" in sentence
    assert "1" in sentence


def test_truncated_files(planted, tmp_path):
    train, samples, _ = planted
    cut = tmp_path / "cut.npz"
    cut.write_bytes(samples.read_bytes()[:300])
    assert "cut.npz cannot be read" in refused("neighbors", "--queries", cut, "--reference", train)


@pytest.mark.parametrize("engine", ["float64", "float32", "bfloat16"])
def test_engines_and_memory_do_not_change_neighbors(planted, engine):
    train, samples, _ = planted
    arguments = ("neighbors", "--queries", samples, "--reference", train, "-k", "3", "--json")
    expected = json.loads(run(*arguments).stdout)["neighbors"]
    assert json.loads(run(*arguments, "--engine", engine).stdout)["neighbors"] == expected
    assert json.loads(run(*arguments, "--memory-limit", "0.0001").stdout)["neighbors"] == expected


def test_a_search_keeps_its_checkpoint_and_its_vectors(planted, tmp_path):
    train, samples, _ = planted
    file, folder = tmp_path / "search.safetensors", tmp_path / "vectors"
    arguments = ("neighbors", "--queries", samples, "--reference", train, "--checkpoint", file, "--json")
    expected = run(*arguments).stdout
    assert file.exists()
    assert run(*arguments).stdout == expected
    assert "belongs to another search" in refused(*arguments, "-k", "2")
    perceptual = ("--distance", "lpips-squeeze", "--weights", "random:0", "--cache", folder)
    first = run(*arguments[:5], *perceptual, "--json").stdout
    kept = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert sum(kept.values()) > 0
    assert run(*arguments[:5], *perceptual, "--json").stdout == first
    assert {path.name: path.stat().st_size for path in folder.iterdir()} == kept  # nothing is embedded anew


@pytest.mark.parametrize("limit", ["0", "-1", "nan", "inf"])
def test_memory_limits_that_are_none(planted, limit):
    train, samples, _ = planted
    sentence = refused("neighbors", "--queries", samples, "--reference", train, "--memory-limit", limit)
    assert "`--memory-limit` must be a number of GiB above 0" in sentence


def test_more_neighbors_than_images(planted):
    train, samples, _ = planted
    assert "`k` must be from 1 to" in refused(
        "neighbors", "--queries", samples, "--reference", train, "-k", "21"
    )
    assert "Invalid value for '-k'" in refused(
        "neighbors", "--queries", samples, "--reference", train, "-k", "0"
    )


def test_excluding_oneself_needs_one_set(planted):
    train, samples, _ = planted
    sentence = refused("neighbors", "--queries", samples, "--reference", train, "--exclude-self")
    assert "`--exclude-self` needs the same images, in the same order, on both sides." in sentence


def test_sets_of_other_ranges_are_warned_of_and_nothing_is_forbidden(tmp_path):
    digits = open_images("digits").images
    write_images(tmp_path / "train.npz", digits[:100])
    np.savez(tmp_path / "half.npz", samples=digits[100:160].numpy() / 2 + 0.5)
    write_images(tmp_path / "whole.npz", digits[100:160])
    for name, warned in (("half", True), ("whole", False)):
        samples, train = tmp_path / f"{name}.npz", tmp_path / "train.npz"
        for role, arguments in (
            ("samples", ("classify", "--train", train, "--samples", samples, "--thresholds=fixed:0.2,0.2")),
            ("queries", ("neighbors", "--queries", samples, "--reference", train)),
        ):
            found = run(*arguments, "--json")
            start = f"The {role} have values from 0 to 1 only"
            assert found.exit_code == 0
            stored = json.loads(found.stdout)
            claims = [one["sentence"] for one in stored.get("claims", ()) if one["severity"] == "warning"]
            sentences = stored.get("warnings", claims)
            assert [sentence.startswith(start) for sentence in sentences] == [True] * warned
            shown = run(*arguments)
            assert (f"Warning: {start}" in shown.stdout + shown.stderr) is warned
