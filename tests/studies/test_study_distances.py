"""Distances with weights through measurement, audit and a whole study with its report."""

import json
import pickle
import re

import pytest
import torch

from planted import planted
from small_geometry import FEW
from spurion import audit
from spurion.audits.classes import AuditRules, classified
from spurion.audits.findings import DistanceInfo
from spurion.audits.ground import AllShares, all_shares, ground_for
from spurion.audits.measurement import load_measurement, measure, save_measurement
from spurion.neighbors import Features, load_distance, save_features
from spurion.neighbors.lpips import weights
from spurion.report import write_report
from spurion.studies import plan, study

TINY = (
    "train_sizes=[2, 6]",
    "denoiser={kind: exact}",
    "sampler.steps=40",
    "sample_size=30",
    "gallery=2",
    "distance=lpips-alex",
    "weights=random:0",
    "thresholds=fixed:0.03,0.02",
    *FEW,
)
MARKED = "lpips-alex (random weights, seed 0)"


def fixed_ground(found, distance):
    return ground_for("fixed:0.5,0.5", found, anchor=None, distance=distance)


@pytest.mark.parametrize("name", ["lpips-squeeze", "cosine"])
def test_measured_is_what_is_defined(name, tmp_path):
    sets = planted()
    distance = load_distance(name, "random:2" if name != "cosine" else None)
    found = measure(sets.train, sets.samples, sets.holdout, distance=distance)
    to_train = distance.pairwise(sets.samples, sets.train).sort(dim=1, stable=True)
    assert torch.equal(found.distance_train, to_train.values[:, 0])
    assert torch.equal(found.distance_train_2, to_train.values[:, 1])
    assert torch.equal(found.nearest_train, to_train.indices[:, 0])
    among = distance.pairwise(sets.samples, sets.samples).fill_diagonal_(torch.inf)
    assert torch.equal(found.distance_sample, among.amin(dim=1))
    assert found.distance == distance.info
    save_measurement(found, tmp_path / "m.safetensors")
    assert load_measurement(tmp_path / "m.safetensors").distance == distance.info


def test_thresholds_are_in_the_unit_of_the_distance():
    # Copies with noise 0.01 are at cosine distance of about 0.01^2 / (2 * 0.27) = 2e-4; others near 1.
    sets = planted()
    result = audit(sets.train, sets.samples, sets.holdout, thresholds="fixed:0.01,0.01", distance="cosine")
    assert result.counts == (30, 15, 25)
    assert result.census.spurious == 3
    assert result.controls.noisy_copies.value == 1
    assert result.distance == DistanceInfo(name="cosine", unit="1 − cosine, from 0 to 2")


def test_copies_are_found_by_random_features_of_a_network():
    sets = planted()
    result = audit(
        sets.train,
        torch.cat([sets.samples, sets.train[:4]]),
        thresholds="fixed:0,0",
        distance=load_distance("lpips-alex", "random:0"),
    )
    assert result.counts == (4, 0, 70)
    assert result.distance.name == MARKED
    assert result.notes[0].startswith("For lpips-alex, images of 4 x 6 pixels were enlarged to 32 x 32")
    assert "has random weights, seed 0" in result.notes[1]


def test_another_distance_than_the_measured_one_is_refused():
    sets = planted()
    found = measure(sets.train, sets.samples, distance="cosine")
    rules = fixed_ground(found, load_distance("cosine")), sets.samples, AuditRules()
    with pytest.raises(ValueError, match="cosine was measured, but `distance` is l2; measure again, or give"):
        classified(found, *rules, shares=AllShares(None))
    with pytest.raises(
        ValueError, match=r"but `distance` is lpips-alex \(random weights, seed 0\), random:0"
    ):
        classified(found, *rules, shares=AllShares(None), distance=load_distance("lpips-alex", "random:0"))


def test_vectors_from_a_file_need_no_noisy_copies(tmp_path):
    sets = planted()
    every = torch.cat([sets.train, sets.samples, sets.holdout])
    save_features(tmp_path / "v.npz", every, every.flatten(1))
    from_file = load_distance("features", str(tmp_path / "v.npz"))
    result = audit(sets.train, sets.samples, sets.holdout, thresholds="fixed:0.5,0.5", distance=from_file)
    assert result.counts == (30, 15, 25)
    assert result.controls.noisy_copies is None
    assert result.controls.held_out.value == 0
    by_function = Features(lambda batch: batch.flatten(1), "pixels")
    result = audit(sets.train, sets.samples, sets.holdout, thresholds="fixed:0.5,0.5", distance=by_function)
    assert result.counts == (30, 15, 25)
    assert result.controls.noisy_copies.value == 1


def test_an_image_passes_the_network_once():
    sets = planted()
    passed = []

    def function(batch):
        passed.append(batch[(batch != 0).flatten(1).any(dim=1)])  # without what fills up a batch
        return batch.flatten(1)

    distance = Features(function, "counted").kept()
    found = measure(sets.train, sets.samples, sets.holdout, distance=distance)
    ground = fixed_ground(found, distance)
    shares = all_shares(found, ground, seed=0)
    classified(found, ground, sets.samples, AuditRules(), shares=shares, distance=distance)
    every = torch.cat(passed)
    assert len(every) == len(every.unique(dim=0)) == 70 + 3 * 20  # samples, training, held-out, noisy images


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return folder, study("digits", out=folder, overrides=TINY, workers=1)


def test_a_whole_study_and_its_report(tiny, words_only):
    folder, result = tiny
    assert result.config["distance"] == "lpips-alex"
    assert result.config["weights"] == "random:0"
    for point in result.points:
        assert point.audit.fractions.memorized.value == 1  # exact copies up to the sampler's last step
        assert point.audit.controls.noisy_copies is not None
        assert point.audit.distance.model_dump() == {"name": MARKED, "unit": "no unit", "weights": "random:0"}
        assert any("8 x 8 pixels were enlarged to 32 x 32" in note for note in point.audit.notes)
    page = re.sub(r"\s+", " ", write_report(folder).read_text())
    assert MARKED in page
    assert "cannot be compared with them" in page
    assert "random:0" in page
    assert "pixel distance" not in page


def test_it_continues_only_with_the_same_weights(tiny):
    folder, result = tiny
    assert study("digits", out=folder, overrides=TINY, workers=1).to_json() == result.to_json()
    with pytest.raises(ValueError, match="`weights` is 'random:0' there and 'random:1' now"):
        study("digits", out=folder, overrides=(*TINY, "weights=random:1"))


def test_a_point_that_cannot_be_measured_has_failed(tmp_path, monkeypatch):
    def fail(*arguments, **named):
        raise ValueError("no luck")

    monkeypatch.setattr("spurion.studies.point.measure", fail)
    result = study("digits", out=tmp_path, overrides=TINY, workers=1)
    assert result.audits == {}
    assert {point.message for point in result.points} == {"no luck"}


def test_missing_weights_stop_a_study_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(weights, "LINEAR_FOLDERS", {})
    overrides = (*TINY, "weights=null")
    with pytest.raises(ValueError, match=r"needs the weights alexnet-owt-7be5be79\.pth .*`--weights`"):
        study("digits", out=tmp_path / "run", overrides=overrides)
    assert not (tmp_path / "run").exists()
    *_, note = plan("digits", overrides=overrides).notes
    assert note.startswith("The distance is not ready yet: LPIPS needs the weights alexnet")


def test_fields_that_do_not_fit(tmp_path):
    with pytest.raises(ValueError, match=r"`distance`: has no vectors of the samples that a study makes"):
        study("digits", out=tmp_path / "run", overrides=["distance=features"])
    with pytest.raises(ValueError, match="The distance `l2` has no weights, got 'random:0'"):
        study("digits", out=tmp_path / "run", overrides=["weights=random:0"])
    assert not (tmp_path / "run").exists()


def test_tasks_that_travel_to_a_worker_give_the_same_distances(tiny, tmp_path, monkeypatch):
    def travelled(function, tasks, threads, report):
        for index, task in enumerate(pickle.loads(pickle.dumps(tasks))):
            yield index, pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(function))(task, report)))

    folder, _ = tiny
    monkeypatch.setattr("spurion.core.engine._loop", travelled)
    study("digits", out=tmp_path, overrides=(*TINY, "geometry=null"), workers=1)
    for point in ("points/000002", "points/000006"):
        assert (tmp_path / point / "samples.csv").read_text() == (folder / point / "samples.csv").read_text()
    assert (
        json.loads((tmp_path / "study.json").read_text())["points"][0]["audit"]["distance"]["name"] == MARKED
    )
