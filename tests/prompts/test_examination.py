"""Whole examinations on a tiny pipeline: results, what is kept, going on, page, and bad input."""

import csv
import hashlib
import html
import json
import re
import shutil

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image

from prompts import tiny_pipelines
from spurion.data import ImageSet
from spurion.prompts import PromptsResult, examine, load_pipeline
from spurion.prompts.readings import Examiner
from spurion.prompts.results import prompts_schema
from spurion.report import write_report

FAST = {"detectors": ["noise-difference", "seed-diversity", "token-attribution"], "seeds": 2, "steps": 2}
FIRST = {"detectors": ["noise-difference", "sharpness"], "seeds": 2, "steps": 2}


def digests(folder, pattern="**/*.safetensors"):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob(pattern))}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_pipelines.stable(tmp_path_factory.mktemp("model"), vae=tiny_pipelines.tiny())


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """70 prompts with an image each, half of them labeled memorized; the last is held out."""
    folder = tmp_path_factory.mktemp("prompts")
    rng = np.random.default_rng(0)
    rows = [("prompt", "image", "label", "copies", "part")]
    for i in range(70):
        Image.fromarray(rng.integers(0, 256, (8, 16, 3), dtype=np.uint8)).save(folder / f"{i}.png")
        label = "memorized" if i % 2 else "generalized"
        rows.append((f"a red square <b>{i}</b>", f"{i}.png", label, 0 if i == 69 else 1 + 4 * (i % 2), "x"))
    with (folder / "prompts.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "prompts.csv"


@pytest.fixture(scope="module")
def run(model, table, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    told = []
    result = examine(model, table, out=out, geometry=1, progress=lambda *parts: told.append(parts), **FAST)
    write_report(out)
    return out, result, told


def test_the_result_is_what_the_file_holds_and_fits_its_schema(run):
    out, result, _ = run
    values = json.loads((out / "prompts.json").read_text())
    jsonschema.validate(values, prompts_schema())
    assert PromptsResult.model_validate(values) == result
    assert [one.prompt for one in result.prompts] == [f"a red square <b>{i}</b>" for i in range(70)]


def test_values_are_those_of_the_detectors(run, model, table):
    _, result, _ = run
    pipeline = load_pipeline(model)
    examiner = Examiner(pipeline, result.config, draw=True, folder=None)
    for one in result.prompts[::23]:
        readings = examiner.read(one.prompt)
        for name, value in one.values.items():
            assert value == pytest.approx(float(readings.values[name].mean()), rel=1e-9)
        assert one.tokens == readings.tokens
    assert all(len(one.tokens) > 0 for one in result.prompts)


def test_ranks_labels_and_training_images_are_told(run):
    _, result, _ = run
    assert sorted(one.rank for one in result.prompts) == [one.rank for one in result.ranked]
    assert result.train.count == 69  # the image of the held-out prompt is none
    assert result.thresholds.memorized is not None
    assert {one.name for one in result.summaries} == {"memorized", "generalized", "x"}
    assert {c.detector for c in result.comparisons} == set(FAST["detectors"])
    assert {one.detector for one in result.halves} == {*FAST["detectors"], "together"}
    assert all(one.answered is not None for one in result.prompts)


def test_evaluations_are_counted(run):
    """Two seeds, two steps: the path takes 1 + 2 evaluations a seed, the gradient 1 + 1 more."""
    _, result, _ = run
    costs = {one.name: one.evaluations for one in result.detectors}
    assert costs == {"noise-difference": 1, "token-attribution": 2, "seed-diversity": 3}
    assert result.evaluations == 70 * 2 * (3 + 2)


def test_the_table_for_spreadsheets_holds_every_prompt_by_rank(run):
    out, result, _ = run
    rows = list(csv.DictReader((out / "prompts.csv").open(newline="")))
    assert [row["prompt"] for row in rows] == [one.prompt for one in result.ranked]
    for row, one in zip(rows, result.ranked, strict=True):
        assert float(row["noise-difference"]) == one.values["noise-difference"]
        assert row["outcome"] == one.answered.outcome


def test_curvature_is_read_by_label(run):
    _, result, _ = run
    assert {name: group.measured for name, group in result.geometry.groups.items()} == {
        "memorized": 1,
        "generalized": 1,
    }
    assert {m.name for m in result.geometry.measures} >= {"soft-directions", "mean-curvature"}
    assert all(len(values) == 128 for values in result.singular.values())


def test_the_page_escapes_prompts_and_says_what_the_claims_say(run):
    out, result, _ = run
    page = (out / "report.html").read_text()
    assert "<b>1</b>" not in page
    assert "&lt;b&gt;" in page
    words = html.unescape(re.sub(r"<[^>]+>", "", page)).replace("’", "'")
    for claim in result.claims:
        assert claim.sentence.replace("’", "'") in words, claim.kind
    for name in ("roc", "readings", "copies", "spectra"):
        assert (out / "figures" / f"{name}.png").stat().st_size > 5000


def test_progress_names_its_stages(run):
    _, _, told = run
    finished = [stage for stage, done, total in told if done == total]
    assert finished == ["read", "compare", "geometry"]


def test_a_stopped_examination_goes_on_to_the_same_bytes(run, model, table, tmp_path):
    out, result, _ = run
    again = tmp_path / "again"
    shutil.copytree(out, again)
    (again / "prompts.json").unlink()
    for path in sorted((again / "readings").iterdir())[::3]:
        path.unlink()
    found = examine(model, table, out=again, geometry=1, **FAST)
    assert found.model_copy(update={"model": ""}) == result.model_copy(update={"model": ""})
    assert digests(again) == digests(out)


def test_other_labels_need_no_new_readings(run, model, table, tmp_path, monkeypatch):
    out, result, _ = run
    again = tmp_path / "again"
    shutil.copytree(out, again)
    lines = table.read_text().replace("generalized", "other").splitlines()
    for i in range(70):
        shutil.copy(table.parent / f"{i}.png", tmp_path)
    (tmp_path / "new.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))
    monkeypatch.setattr(Examiner, "_measured", lambda *_: pytest.fail("measured again"))
    found = examine(model, tmp_path / "new.csv", out=again, **FAST)
    assert {one.prompt: one.values for one in found.prompts} == {
        one.prompt: one.values for one in result.prompts
    }
    assert {one.label for one in found.prompts} == {"memorized", "other"}


def test_a_damaged_reading_is_measured_again(run, model, table, tmp_path):
    out, result, _ = run
    again = tmp_path / "again"
    shutil.copytree(out, again)
    victims = sorted((again / "readings").glob("*.safetensors"))[:2]
    for victim in victims:
        victim.write_bytes(victim.read_bytes()[:-9])
    found = examine(model, table, out=again, **FAST)
    assert found.prompts == result.prompts
    assert digests(again) == digests(out)


def test_a_first_step_examination_draws_no_samples(model):
    result = examine(model, ["a red square", "a blue circle"], **FIRST)
    assert result.train is None
    assert result.evaluations == 2 * 2 * 5  # sharpness: 1 + 2 products of 2; see its file
    assert result.thresholds is None
    assert {claim.kind for claim in result.claims} >= {"no_labels", "no_ground", "few_seeds"}


def test_one_prompt_and_one_seed_are_enough(model):
    result = examine(
        model, ["a red square"], detectors=["seed-diversity", "noise-difference"], seeds=1, steps=2
    )
    assert result.prompts[0].values["seed-diversity"] is None
    assert result.prompts[0].values["noise-difference"] > 0
    assert result.prompts[0].rank == 1


def test_every_detector_runs_on_every_kind_of_pipeline(tmp_path):
    for name, build in tiny_pipelines.KINDS.items():
        if name == "tiny autoencoder":
            continue
        result = examine(build(tmp_path / name), ["a red square"], seeds=2, steps=2)
        assert not [claim for claim in result.claims if claim.kind == "unmeasured"], name
        assert all(value is not None for value in result.prompts[0].values.values()), name


def test_a_detector_that_fails_costs_itself(model, monkeypatch):
    from spurion.prompts.detectors import DETECTORS

    def broken(subject):
        raise RuntimeError("no kernel")

    monkeypatch.setattr(type(DETECTORS["sharpness"]), "read", lambda self, subject: broken(subject))
    result = examine(model, ["a red square"], **FIRST)
    assert result.prompts[0].values["sharpness"] is None
    assert result.prompts[0].values["noise-difference"] > 0
    assert "no kernel" in next(c.sentence for c in result.claims if c.kind == "unmeasured")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"detectors": ["telepathy"]}, "must be names among noise-difference"),
        ({"detectors": []}, "detectors"),
        ({"seeds": 0}, "seeds"),
        ({"steps": 0}, "steps"),
        ({"steps": 1001}, "steps"),
        ({"guidance": -1}, "guidance"),
        ({"seed": -1}, "seed"),
        ({"device": "tpu"}, "`device` must be one of"),
        ({"train": ImageSet(torch.zeros(70, 3, 4, 4))}, "model's shape"),
        ({"distance": "l3"}, "must be one of"),
    ],
)
def test_bad_arguments_are_one_sentence(model, arguments, match):
    with pytest.raises(ValueError, match=match):
        examine(model, ["a red square"], **{**FIRST, **arguments})


def test_a_folder_of_another_examination_is_refused(run, model, table):
    out, _, _ = run
    with pytest.raises(ValueError, match=r"`examination\.seeds` is 2 there and 3 now"):
        examine(model, table, out=out, **{**FAST, "seeds": 3})


def test_a_gallery_that_does_not_fit_is_refused(run, tmp_path):
    out, _, _ = run
    again = tmp_path / "again"
    shutil.copytree(out, again)
    (again / "gallery.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="gallery"):
        write_report(again)
