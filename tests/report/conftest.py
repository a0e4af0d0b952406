"""One run with planted trouble, and its page, for all tests of the report."""

import pytest

from report.synthetic import HOSTILE, Recipe, write_run
from spurion.report.figures import FIGURES, Picture, Plate
from spurion.report.html import render
from spurion.report.run import read_run

PLANTED = Recipe(
    sizes=(2, 16, 90, 128, 256, 1437),
    samples=300,
    uneven=True,
    name=HOSTILE,
    failed=(90,),
    sparse=(16,),
    geometry=True,
    message=f"boom {HOSTILE}",
)


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """A run folder with planted trouble, and the values of its study.json."""
    folder = tmp_path_factory.mktemp("planted")
    return folder, write_run(folder, PLANTED)


@pytest.fixture(scope="session")
def run(planted):
    """The planted run, read back."""
    return read_run(planted[0])


@pytest.fixture(scope="session")
def page(run):
    """The page of the planted run, with a dot for every figure."""
    dot = Picture("data:image/svg+xml;base64,PHN2Zy8+", 96, 48)
    return render(run, dict.fromkeys(FIGURES, Plate(dot, dot)))


@pytest.fixture
def make_run(tmp_path):
    """Write a run by recipe and read it back."""

    def make(**planted):
        write_run(tmp_path, Recipe(**planted))
        return read_run(tmp_path)

    return make
