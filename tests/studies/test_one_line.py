"""What a user adds by one registration, outside of the package, is everywhere: a set, a distance, and so on.

A measure is in `test_a_new_measure`.
"""

import json
from typing import Literal

import pytest
import torch

from cli.command_line import run, write_images
from spurion.audits.checks import CHECKS
from spurion.audits.claims import Claim
from spurion.core.random import generator
from spurion.data import DATASETS, DataSet, ImageSet, Split
from spurion.diffusion import DENOISERS
from spurion.diffusion.denoisers.exact import ExactConfig
from spurion.neighbors import DISTANCES, Distance
from spurion.studies.checks import STUDY_CHECKS

SENTENCE = "These images are known by the color of their corners."


class Corners(Distance):
    """The distance in the four corners."""

    name = "corners"
    unit = "pixel values in [-1, 1]"
    costly = False

    def embed(self, images):
        """The pixels in the corners."""
        return images[..., :: images.shape[-2] - 1, :: images.shape[-1] - 1].flatten(1)


class Archive(ExactConfig):
    """The exact denoiser under another name."""

    kind: Literal["archive"] = "archive"


def stripes(allow_download):
    images = torch.rand(50, 1, 4, 4, generator=generator(0, "stripes")) * 2 - 1
    return Split(ImageSet(images[:40], "stripes"), ImageSet(images[40:], "stripes:holdout"))


SECOND = "And by that of their edges."


def corners(audit):
    for sentence in (SENTENCE, SECOND):
        yield Claim(
            kind="corners", severity="doubt", sentence=sentence, touches=("memorized",), forbids=("pass",)
        )


@pytest.fixture
def mine(monkeypatch):
    monkeypatch.setitem(DATASETS, "stripes", DataSet(stripes))
    monkeypatch.setitem(DENOISERS, "archive", Archive)
    monkeypatch.setitem(CHECKS, "corners", corners)
    monkeypatch.setitem(STUDY_CHECKS, "corners", corners)


def test_a_study_has_them_all(mine, tmp_path, monkeypatch, words_only):
    sets = ("data.source=stripes", "denoiser={kind: archive}", "train_sizes=[2, 6]", "sampler.steps=20")
    sets = (*sets, "sample_size=30", "gallery=2", "thresholds='fixed:0.3,0.3'", "geometry=null", "flow=null")
    options = [f"--set={entry}" for entry in sets]
    found = run("study", "digits", "--out", tmp_path / "run", "--workers=1", *options)
    assert found.exit_code == 0, found.output
    assert found.stdout.count(SENTENCE) == 2  # of all points, and of the study
    stored = json.loads((tmp_path / "run" / "study.json").read_text())
    assert stored["train"]["name"] == "stripes"
    assert stored["config"]["denoiser"] == {"kind": "archive"}
    assert [point["audit"]["fractions"]["memorized"]["value"] for point in stored["points"]] == [1, 1]
    assert "corners" in [claim["kind"] for claim in stored["claims"]]
    assert "corners" in [claim["kind"] for claim in stored["points"][0]["audit"]["claims"]]
    page = (tmp_path / "run" / "report.html").read_text()
    assert SENTENCE in page
    assert SECOND in page
    monkeypatch.setitem(
        CHECKS, "late", lambda audit: [Claim(kind="late", severity="doubt", sentence="Late.")]
    )
    again = run("study", "digits", "--out", tmp_path / "run", "--workers=1", *options)
    assert "Doubt: Late." in again.stdout  # what is stored is judged anew


def test_an_audit_has_them_too(mine, monkeypatch, tmp_path):
    monkeypatch.setitem(DISTANCES, "corners", Corners)
    samples = write_images(tmp_path / "samples.npz", stripes(False).train.images)
    options = ("--train", "stripes", "--samples", samples, "--distance")
    found = run(
        "audit",
        *options,
        "corners",
        "--thresholds",
        "fixed:0.1,0.1",
        "--fail-if",
        "memorized < 0.5",
        "--json",
    )
    stored = json.loads(found.stdout)
    assert stored["distance"]["name"] == "corners"
    assert SENTENCE in stored["verdict"]["reason"]
    assert (stored["verdict"]["outcome"], found.exit_code) == ("inconclusive", 3)
    assert "corners" in run("audit", *options, "no such").stderr
