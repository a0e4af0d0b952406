"""Whole studies of prompts, tiny: what they leave, going on, processes, mitigation and its classifier."""

import hashlib
import json

import numpy as np
import pytest
import torch
from small_prompts import SMALL

from spurion.neighbors import as_distance
from spurion.prompts import DETECTORS, examine
from spurion.prompts.config import PromptsConfig
from spurion.prompts.study.config import prompts_config
from spurion.prompts.study.mitigated import NameClassifier, mitigated
from spurion.prompts.study.planting import plant
from spurion.report import write_report
from spurion.studies import study

FIELDS = [*SMALL, "counts.single=70", "steps=2", "geometry=1"]


def digests(folder):
    kept = sorted(p for p in folder.rglob("*.safetensors"))
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in kept}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "run"
    return out, study("prompts", out=out, overrides=FIELDS, workers=1)


def test_a_study_leaves_a_model_its_truth_and_what_was_read(run):
    out, result = run
    values = json.loads((out / "study.json").read_text())
    assert values["kind"] == "study"
    assert values["training"]["parameters"].keys() == {"U-Net", "autoencoder", "text encoder"}
    assert (out / "planted" / "model" / "model_index.json").is_file()
    assert {one.part for one in result.prompts} >= {"single", "held-out", "shared"}
    labels = {one.part: one.label for one in result.prompts}
    assert (labels["single"], labels["held-out"], labels["shared"]) == ("generalized", "other", None)
    assert {one.name for one in result.mitigation} == {"none", "tokens", "noise"}
    assert 0 <= result.training.classifier <= 1
    page = write_report(out).read_text()
    assert "A model whose truth is known" in page
    assert "agree with prompt" in page


def test_several_processes_read_the_same(run, tmp_path):
    out, result = run
    again = study("prompts", out=tmp_path / "run", overrides=FIELDS, workers=2)
    same = {"model": "", "environment": {}}
    assert again.model_copy(update=same) == result.model_copy(update=same)
    assert digests(tmp_path / "run") == digests(out)


def test_given_again_nothing_is_measured(run, monkeypatch):
    out, result = run
    for name in DETECTORS:
        monkeypatch.setattr(type(DETECTORS[name]), "read", lambda *_: pytest.fail("measured again"))
    monkeypatch.setattr("spurion.prompts.study.study.mitigated", lambda *_, **__: (result.mitigation, None))
    again = study("prompts", out=out, overrides=FIELDS, workers=1)
    assert again.prompts == result.prompts


def test_the_model_is_examined_like_any_other(run):
    out, result = run
    found = examine(
        out / "planted" / "model", out / "planted" / "prompts.csv", seeds=2, steps=2, device="cpu",
        detectors=["noise-difference"], guidance=result.config.guidance,
    )  # fmt: skip
    ours = {one.prompt: one.values["noise-difference"] for one in result.prompts}
    for one in found.prompts:
        assert one.values["noise-difference"] == pytest.approx(ours[one.prompt], rel=1e-4)


def test_the_classifier_is_tried_on_images_that_it_never_saw():
    planting = plant(prompts_config(overrides=["counts.single=600", "counts.examined=10"]))
    classifier = NameClassifier(planting)
    assert classifier.accuracy > 0.85  # linear classifiers reach 95 % of many digits; 100 are held out
    wrong = planting.images.images[torch.randperm(len(planting.images.images))]
    names = np.array([planting.names[p] for p, places in enumerate(planting.places) for _ in places])
    assert (classifier.names(wrong) == names).mean() < 0.3


def test_mitigation_counts_copies_of_the_own_image_and_agreement(run):
    """With no limit every sample is a copy, with a negative one none; agreement is the classifier's."""
    from spurion.prompts import load_pipeline

    out, result = run
    pipeline = load_pipeline(out / "planted" / "model")
    planting = plant(prompts_config(overrides=FIELDS))
    prompts = planting.prompts_of("single")[:2]
    config = PromptsConfig(seeds=2, steps=2, guidance=1.0)
    told = []
    every, accuracy = mitigated(
        pipeline, planting, prompts, config, 1e9, as_distance("l2"), progress=lambda *p: told.append(p)
    )
    none, _ = mitigated(pipeline, planting, prompts, config, -1.0, as_distance("l2"))
    assert told == [(1, 2), (2, 2)]
    assert accuracy == NameClassifier(planting).accuracy
    assert [one.own.value for one in every] == [1, 1, 1]
    assert [one.own.value for one in none] == [0, 0, 0]
    costs = {one.name: one.evaluations for one in every}
    assert costs["none"] == 0
    assert costs["noise"] == 16 * (5 + 1)  # candidates, and sharpness with its own unconditional answer
    assert costs["tokens"] > 0
    assert all(one.samples == 4 and one.prompts == 2 for one in every)
