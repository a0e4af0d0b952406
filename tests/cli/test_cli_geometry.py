"""The verb `geometry`, on closed-form models whose answers are known."""

import csv
import json

import numpy as np
import pytest
import torch

from cli.command_line import refused, run, write_images
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianDenoiser
from spurion.diffusion.folder import save_denoiser
from spurion.diffusion.schedule import DDPMSchedule, VESchedule
from spurion.geometry.measures import MEASURES
from unets import unet

CHEAP = "--measures=soft-directions,mean-curvature"
SHAPE = (1, 4, 4)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model of seven patterns, its patterns, and other images."""
    folder = tmp_path_factory.mktemp("geometry")
    rng = np.random.default_rng(0)
    patterns = rng.uniform(-0.9, 0.9, (7, *SHAPE)).astype(np.float32)
    save_denoiser(ExactDenoiser(torch.from_numpy(patterns), DDPMSchedule()), folder / "exact" / "model")
    write_images(folder / "patterns.npz", patterns)
    write_images(folder / "other.npz", rng.uniform(-0.9, 0.9, (3, *SHAPE)))
    write_images(folder / "wide.npz", rng.uniform(-0.9, 0.9, (3, 1, 5, 5)))
    return folder


def values(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_range_is_declared_for_arrays_of_floats(place, tmp_path):
    np.savez(tmp_path / "floats.npz", images=(np.load(place / "patterns.npz")["samples"] + 1) / 2)
    shared = ("geometry", place / "exact", tmp_path / "floats.npz", "--measures", "relative-energy", "--json")
    assert "`value_range`" in refused(*shared)
    assert values(run(*shared, "--value-range=0,1"))["images"]["count"] == 7


def test_patterns_are_recovered_and_others_are_not(place, tmp_path):
    out = tmp_path / "geometry.csv"
    options = ("--measures", "critical-noise,log-volume,recovery-area", "--tolerance", "0.2")
    found = values(run("geometry", place / "exact", place / "patterns.npz", *options, "--json", "--out", out))
    noise = found["measures"]["critical-noise"]
    assert noise["statuses"] == {"measured": 7}
    assert noise["value"] > 0.2
    assert noise["low"] <= noise["value"] <= noise["high"]
    assert (noise["unit"], noise["source"]) == ("noise sigma_t", "Algorithm 1")
    assert list(found["measures"]) == ["critical-noise", "log-volume", "recovery-area"]
    assert found["tolerance"] == 0.2
    assert (found["clip"], found["steps"]) == (False, 20)
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == 21
    assert list(rows[0]) == ["index", "name", "measure", "value", "status"]
    points = noise["points"]
    assert [float(row["value"]) for row in rows[:7]] == [point["value"] for point in points]
    others = values(run("geometry", place / "exact", place / "other.npz", *options, "--json"))
    never = others["measures"]["critical-noise"]
    assert never["statuses"] == {"never": 3}
    assert never["value"] is None  # too few for a median
    assert never["points"] == [{"value": None, "status": "never"}] * 3


def test_all_measures_in_a_table(place):
    result = run("geometry", place / "exact", place / "patterns.npz", "--limit", 6)
    assert result.exit_code == 0, result.output
    assert all(name in result.stdout for name in MEASURES)
    assert "Images: 6 of" in result.stdout
    assert "within 0.4 (l2)" in result.stdout  # 0.1 sqrt(16)
    assert "at a noise of 0.0987." in result.stdout  # of the step nearest to 0.1
    assert "95 % interval" in result.stdout
    assert "measure" in result.stderr  # progress


@pytest.mark.parametrize("kind", ["attention", "6 x 10"])
def test_a_u_net_has_all_measures(kind, tmp_path):
    denoiser = unet(kind, torch.float32)
    save_denoiser(denoiser, tmp_path / "model")
    image = write_images(tmp_path / "image.npz", np.zeros((1, *denoiser.shape)))
    found = values(run("geometry", tmp_path / "model", image, "--json"))
    assert list(found["measures"]) == list(MEASURES)
    assert not any("No " in note for note in found["notes"])
    assert all(measure["statuses"].get("failed", 0) == 0 for measure in found["measures"].values())


def test_one_image_does_not_depend_on_the_others(place):
    options = ("--measures", "critical-noise,intrinsic-dimension,relative-energy", "--json")
    all_of_them, few = (
        values(run("geometry", place / "exact", place / "patterns.npz", *options, *limit))["measures"]
        for limit in (("--limit", 4), ("--limit", 2))
    )
    for name, measure in few.items():
        assert [p["value"] for p in measure["points"]] == pytest.approx(
            [p["value"] for p in all_of_them[name]["points"][:2]], rel=1e-4, abs=1e-6
        )


def test_the_seed_decides_the_noise(place):
    options = ("geometry", place / "exact", place / "patterns.npz", "--measures", "log-volume", "--json")
    options = (*options, "--limit", 2)
    first, again, other = (run(*options, "--seed", seed).stdout for seed in (0, 0, 1))
    assert first == again != other


def test_the_noise_is_chosen_by_a_scan_or_given(tmp_path):
    # As in the study: variances 1 and 1e-4 are farthest apart at 0.1; mid-gray is the mean.
    variances = torch.tensor([1.0] * 8 + [1e-4] * 8)
    save_denoiser(GaussianDenoiser(torch.zeros(16), variances, DDPMSchedule(), SHAPE), tmp_path / "model")
    images = write_images(tmp_path / "gray.npz", np.zeros((6, *SHAPE)))
    found = values(run("geometry", tmp_path, images, CHEAP, "--train", images, "--json"))
    assert found["noise"] == found["scan"]["chosen_noise"] == pytest.approx(0.1, rel=0.2)
    assert found["measures"]["soft-directions"]["value"] == 8
    loud = values(run("geometry", tmp_path, images, CHEAP, "--noise", "3", "--json"))
    assert (loud["noise"], loud["scan"]) == (pytest.approx(3, rel=0.01), None)  # that of the nearest step
    assert loud["measures"]["soft-directions"]["value"] == 0


def test_references_are_training_images(place):
    options = ("geometry", place / "exact", place / "patterns.npz", "--measures", "relative-energy", "--json")
    gray = values(run(*options))["measures"]["relative-energy"]["value"]
    deep = values(run(*options, "--train", place / "patterns.npz"))["measures"]["relative-energy"]["value"]
    assert gray < -1  # a memory lies deeper than mid-gray
    assert abs(deep) < abs(gray) / 2  # and about as deep as other memories


def test_a_closed_form_without_numbers_is_refused(tmp_path):
    mean = torch.zeros(16)
    save_denoiser(GaussianDenoiser(mean, torch.ones(16), DDPMSchedule(), SHAPE), tmp_path / "model")
    from safetensors.torch import load_file, save_file

    path = tmp_path / "model" / "denoiser.safetensors"
    state = load_file(path)
    save_file(
        {name: torch.full_like(x, torch.nan) if "mean" in name else x for name, x in state.items()}, path
    )
    images = write_images(tmp_path / "gray.npz", np.zeros((6, *SHAPE)))
    sentence = refused("geometry", tmp_path, images, "--measures", "critical-noise,mean-curvature", "--json")
    assert "`mean` holds 16 numbers of 16 that are NaN or infinite" in sentence


def test_a_measure_that_a_model_cannot_have_is_noted(place, tmp_path):
    patterns = np.load(place / "patterns.npz")["samples"]
    save_denoiser(ExactDenoiser(torch.from_numpy(patterns), VESchedule()), tmp_path / "model")
    options = ("geometry", tmp_path, place / "patterns.npz", "--measures")
    result = run(*options, "mean-curvature,log-density")
    assert result.exit_code == 0, result.output
    assert "Note: No log-density: " in result.stderr
    assert "`denoiser` must have a DDPMSchedule" in refused(*options, "log-density")


def test_bad_input_is_one_sentence(place):
    model, images = place / "exact", place / "patterns.npz"
    unknown = refused("geometry", model, images, "--measures", "critical-noise,depth")
    assert "got 'depth'" in unknown
    assert all(name in unknown for name in MEASURES)
    assert "got ''" in refused("geometry", model, images, "--measures", "")
    assert "`images` must hold points of the model's shape, (n, 1, 4, 4)" in refused(
        "geometry", model, place / "wide.npz", CHEAP
    )
    assert "`--train` must hold points of the model's shape" in refused(
        "geometry", model, images, CHEAP, "--train", place / "wide.npz"
    )
    assert "use one of them" in refused("geometry", model, images, "--train", images, "--noise", "0.1")
    assert "`--noise` must be a positive number" in refused("geometry", model, images, CHEAP, "--noise", "0")
    assert "`--tolerance` must be a positive number" in refused(
        "geometry", model, images, "--tolerance", "-1"
    )
    assert "`--tolerance` is needed with the distance cosine" in refused(
        "geometry", model, images, "--distance", "cosine"
    )
    refused("geometry", place / "nowhere", images)
    refused("geometry", model, place / "nowhere.npz")


def test_another_distance_with_its_tolerance(place):
    options = ("--distance", "cosine", "--tolerance", "0.05", "--measures", "critical-noise", "--json")
    found = values(run("geometry", place / "exact", place / "patterns.npz", *options))
    assert found["distance"]["name"] == "cosine"
    assert found["measures"]["critical-noise"]["statuses"] == {"measured": 7}


def test_the_tolerance_is_that_of_the_study_that_made_the_model(place, tmp_path):
    import json
    import shutil

    from planted import planted
    from spurion import audit
    from spurion.studies.results import Point

    shutil.copytree(place / "exact" / "model", tmp_path / "model")
    sets = planted()
    found = audit(sets.train, sets.samples, thresholds="fixed:0.3,0.17")
    point = Point(train_size=len(sets.train), sample_size=len(sets.samples), audit=found)
    result = point.model_dump(mode="json", by_alias=True)
    (tmp_path / "point.json").write_text(json.dumps(result))
    options = ("geometry", tmp_path, place / "patterns.npz", "--measures", "mean-curvature", "--json")
    assert values(run(*options))["tolerance"] == 0.17
    assert values(run(*options, "--tolerance", "0.5"))["tolerance"] == 0.5
    (tmp_path / "point.json").unlink()
    assert values(run(*options))["tolerance"] == pytest.approx(0.4)


def test_a_folder_is_no_file_to_write(place, tmp_path):
    message = refused("geometry", place / "exact", place / "patterns.npz", "--out", tmp_path)
    assert "`--out` must be a file to write" in message
