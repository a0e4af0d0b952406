"""Whose images a set holds: kept with them, said once in every result, and told in the README."""

from pathlib import Path

import torch

from spurion import audit
from spurion.audits.claims import sentences
from spurion.audits.findings import SourceInfo
from spurion.core.random import generator
from spurion.data import DATASETS, ImageSet, Rights, load_split, open_images
from spurion.report import write_report
from spurion.studies import RECIPES

ROOT = Path(__file__).parents[2]
EMOJI = DATASETS["emoji"].rights.sentence("emoji")


def images(n, name, seed):
    return ImageSet(torch.rand(n, 1, 6, 6, generator=generator(seed, "rights")) * 2 - 1, name)


def test_what_is_said_of_the_graphics():
    for part in ("emoji", "Twemoji, copyright 2019 Twitter, Inc", "CC BY 4.0", "licenses/by/4.0", "reduced"):
        assert part in EMOJI
    assert "whose makers state no license (https" in DATASETS["cifar10"].rights.sentence("cifar10")
    assert Rights(credit="a work").sentence("dots") == (
        "The images of dots are from a work, whose makers state no license."
    )


def test_images_keep_whose_they_are():
    rights = DATASETS["digits"].rights
    split = load_split("digits", resize=4)
    for found in (split.train, split.holdout, split.train.subset([1, 2]), open_images("digits:holdout")):
        assert found.rights == rights
    assert open_images("digits", resize=4).rights == rights
    assert images(2, "mine", 0).credited(None).rights is None


def test_an_audit_names_them_once_on_page_and_in_file(tmp_path, words_only):
    rights = DATASETS["emoji"].rights
    train, holdout = images(70, "emoji", 0).credited(rights), images(70, "held", 1).credited(rights)
    samples = images(20, "samples", 2)
    found = audit(train, samples, holdout, out=tmp_path / "open")
    assert sentences(found.claims, "credit") == [EMOJI]
    assert found.inputs.holdout.rights == rights
    assert found.inputs.samples.rights is None
    page = write_report(tmp_path / "open").read_text()
    assert page.count("copyright 2019 Twitter") == 1
    closed = audit(train, samples, holdout, out=tmp_path / "closed", redact=True)
    assert sentences(closed.claims, "credit") == []
    stored = (tmp_path / "closed" / "audit.json").read_text()
    assert "Twitter" not in stored + write_report(tmp_path / "closed").read_text()


def test_results_of_former_versions_name_nobody():
    values = SourceInfo.of(images(2, "old", 0)).model_dump(mode="json")
    del values["rights"]
    assert SourceInfo.model_validate(values).rights is None


def row(name):
    """The row of a set in the table of the README."""
    known = DATASETS[name]
    train, holdout, (channels, height, width) = known.size
    recipes = [f"`{recipe}`" for recipe, make in RECIPES.items() if make()["data"]["source"] == name]
    cells = (
        f"`{name}`",
        f"{train:,} + {holdout:,}",
        f"{height}x{width}, {'gray' if channels == 1 else 'color'}",
        known.origin,
        f"`{known.extra}`" if known.extra else "none",
        known.rights.license or "none stated",
        ", ".join(recipes) or "none",
    )
    return f"| {' | '.join(cells)} |"


def test_the_table_of_the_readme_is_that_of_the_registry():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| data set | images"))
    assert lines[start + 2 : start + 2 + len(DATASETS)] == [row(name) for name in DATASETS]
    assert not lines[start + 2 + len(DATASETS)].startswith("|")
