"""The documentation: links lead somewhere, commands and names exist, the README's pieces agree."""

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import spurion

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def anchors(page):
    titles = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name} links to {target}"


def test_every_verb_in_the_command_reference_exists():
    from spurion.cli.commands import app

    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    verbs = re.findall(r"^## (\w+)$", (ROOT / "docs" / "commands.md").read_text(), flags=re.MULTILINE)
    assert {"study", "train", "sample", "neighbors", "classify", "report", "doctor"} <= set(verbs)
    for verb in verbs:
        assert re.search(rf"\b{verb}\b", result.output), verb


def test_the_readme_names_every_recipe():
    from spurion.studies.recipes import RECIPES

    text = (ROOT / "README.md").read_text()
    assert [name for name in RECIPES if f"`{name}`" not in text] == []


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == spurion.__version__
    assert [author["name"] for author in citation["authors"]] == ["The Spurion authors"]
    title = citation["references"][0]["title"]
    assert title in (ROOT / "README.md").read_text()


def test_workflows_and_hooks_call_what_exists():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    files = [*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml"]
    assert len(files) == 5
    for file in files:
        assert yaml.safe_load(file.read_text())
        assert set(re.findall(r"run: make (\w+)", file.read_text())) <= set(targets)
