"""The command reference is about the commands there are, and the report's page about the report there is."""

import re
from pathlib import Path

import pytest
import typer
import yaml

from cli.command_line import VERBS, run
from spurion.cli import app
from spurion.report.sections import SECTIONS

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = typer.main.get_command(app).commands


def section(page, title):
    """The text under a heading of level 2."""
    return re.split(r"^## ", page.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def rows(text):
    """First cells of the option tables."""
    return [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]


def test_every_verb_has_a_section():
    assert set(COMMANDS) == set(VERBS)
    page = (DOCS / "commands.md").read_text()
    assert set(re.findall(r"^## (\w+)$", page, flags=re.MULTILINE)) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_options_are_those_of_the_verb(verb):
    text = section((DOCS / "commands.md").read_text(), verb)
    documented = {option for row in rows(text) for option in re.findall(r"(?<=`)--?[a-z][a-z-]*", row)}
    parameters = [parameter for parameter in COMMANDS[verb].params if parameter.name != "help"]
    actual = {
        name
        for parameter in parameters
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("-")
    }
    assert documented == actual


@pytest.mark.parametrize("verb", VERBS)
def test_the_example_is_that_of_the_help(verb):
    example = re.search(r"```\n(spurion .*)\n```", section((DOCS / "commands.md").read_text(), verb)).group(1)
    shown = " ".join(run(verb, "--help").stdout.split())
    assert f"Example: {example}" in shown


def test_no_link_is_broken():
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)\)?", page.read_text()):
            assert target.startswith("https://") or (DOCS / target).exists(), (page, target)


def test_the_report_s_sections_are_explained(monkeypatch):
    titles = []
    for module in {make.__module__ for make in SECTIONS}:
        text = Path(DOCS.parent, "src", *module.split(".")).with_suffix(".py").read_text()
        titles += re.findall(r"Section\(\s*\"\w+\",\s*\"([^\"]+)\"", text)
    assert len(titles) >= len(SECTIONS)
    page = " ".join(f"{(DOCS / 'report.md').read_text()} {(DOCS / 'audit.md').read_text()}".split())
    assert [title for title in titles if title not in page] == []


def test_the_changelog_has_an_unreleased_section():
    assert "## [Unreleased]" in (DOCS.parent / "CHANGELOG.md").read_text()


def test_a_set_in_the_reference_is_valid_yaml():
    page = (DOCS / "commands.md").read_text()
    for value in re.findall(r"--set \"?[\w.]+=([^\"`]+)", page):
        yaml.safe_load(value)
