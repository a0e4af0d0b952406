"""What was not read, or read otherwise than a model may have seen it, is a warning, and forbids a pass."""

import json
import re

import numpy as np
import pytest

from data.encoded import encode, write_folder, write_zip
from data.test_rotation import tagged
from spurion import audit
from spurion.audits.results import AuditResult
from spurion.report import write_report

ROLES = ("train", "samples", "holdout")
GATE = "memorized > 0.2"
COUNT = 120


def images(count, seed):
    levels = np.random.default_rng(seed).integers(0, 256, (count, 6, 6), dtype=np.uint8)
    return {f"{i}.png": encode(level) for i, level in enumerate(levels)}


SETS = {role: images(COUNT, seed) for seed, role in enumerate(ROLES)}


def audited(tmp_path, added, write=write_folder, **options):
    """An audit of sets that would pass, with files added to some of them."""
    sources = {
        role: write(tmp_path / f"{role}.zip", files | added.get(role, {})) for role, files in SETS.items()
    }
    rule = {"fail_if": GATE, "thresholds": "fixed:1,1", "transforms": "all"}
    return audit(**sources, **rule | options)


def test_sets_that_were_read_whole_pass(tmp_path):
    found = audited(tmp_path, {})
    assert found.verdict.outcome == "pass"
    assert found.said("warning") == []
    assert [getattr(found.inputs, role).count for role in ROLES] == [COUNT] * 3


@pytest.mark.parametrize(
    ("role", "write", "transforms"),
    [
        ("train", write_folder, "all"),  # with all that a pass needs
        ("samples", write_folder, None),
        ("holdout", write_folder, None),
        ("train", write_zip, None),
    ],
)
def test_files_that_may_hold_images_forbid_a_pass(role, write, transforms, tmp_path):
    found = audited(tmp_path, {role: {"more.heic": b"", "clip.mp4": b""}}, write, transforms=transforms)
    (warning,) = (claim for claim in found.claims if claim.severity == "warning")
    beside = {"train": "training images", "samples": "samples", "holdout": "held-out images"}[role]
    assert warning.kind == "unread_files"
    assert warning.sentence.startswith(
        f"Beside the {beside}, 2 files that may hold images were not read: clip.mp4, more.heic; convert"
    )
    assert found.verdict.outcome == "inconclusive"
    assert warning.sentence in found.verdict.reason
    assert getattr(found.inputs, role).reading.unread.names == ("clip.mp4", "more.heic")


def test_other_files_forbid_nothing_and_are_told(tmp_path, words_only):
    found = audited(tmp_path, {"train": {"labels.json": b"{}", "Thumbs.db": b""}}, out=tmp_path / "out")
    assert (found.verdict.outcome, found.said("warning")) == ("pass", [])
    stored = json.loads((tmp_path / "out/audit.json").read_text())
    assert stored["inputs"]["train"]["reading"]["other"] == {"count": 1, "names": ["labels.json"]}
    assert stored["inputs"]["train"]["reading"]["left_out"] == {"count": 1, "names": ["Thumbs.db"]}
    page = write_report(tmp_path / "out").read_text()
    assert "1 file is no image: labels.json." in page
    assert "1 hidden or system entry is left out: Thumbs.db." in page


def rotated(count, seed):
    levels = np.random.default_rng(seed).integers(0, 256, (count, 6, 6), dtype=np.uint8)
    return {f"turned{i}.png": tagged(6, pixels=level) for i, level in enumerate(levels)}


@pytest.mark.parametrize(
    ("train", "samples", "kinds", "outcome"),
    [
        (1, 0, ["rotated_images"], "pass"),  # 1 of 121 is less than 1 %
        (2, 0, ["rotated_train"], "inconclusive"),
        (0, 20, ["rotated_images"], "pass"),
        (20, 20, ["rotated_images"] * 2, "pass"),
    ],
)
def test_tags_that_were_not_applied_are_a_doubt_if_training_images_have_more(
    train, samples, kinds, outcome, tmp_path
):
    found = audited(tmp_path, {"train": rotated(train, 7), "samples": rotated(samples, 8)})
    assert [warning.kind for warning in found.claims if warning.severity == "warning"] == kinds
    assert found.verdict.outcome == outcome
    count = train or samples
    said = "1 image has an" if count == 1 else f"{count} images have an"
    assert f", {said} orientation tag (EXIF) and " in found.said("warning")[0]


def test_redaction_counts_and_names_nothing(tmp_path, words_only):
    files = {"secret.heic": b"", "secret.txt": b"", "._secret": b""}
    added = {role: files | rotated(4, seed) for seed, role in enumerate(ROLES, start=7)}
    found = audited(tmp_path, added, redact=True, transforms=None, out=tmp_path / "out")
    stored = (tmp_path / "out/audit.json").read_text() + write_report(tmp_path / "out").read_text()
    assert "secret" not in stored
    assert not re.search(r"turned\d", stored)
    reading = found.inputs.holdout.reading
    assert [files.count for _, files in reading] == [1, 1, 1, 4, 0]
    assert "1 file that may hold images was not read; convert" in found.said("warning")[0]


def test_results_of_before_are_read_without_this(tmp_path):
    values = audited(tmp_path, {}, transforms=None).to_json()
    for role in ROLES:
        del values["inputs"][role]["reading"]
    assert AuditResult.model_validate(values).inputs.train.reading.sentences() == ()
