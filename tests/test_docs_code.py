"""Code of the documentation, as a user would paste it: Python into a file, commands into a shell."""

import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from small_geometry import FEW
from spurion.audits import CHECKS
from spurion.cli import app
from spurion.geometry import MEASURES
from spurion.prompts.detectors import DETECTORS

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL))
]
SMALL = (
    "training.iterations=20",
    "training.warmup=2",
    "sampler.steps=4",
    "sample_size=40",
    "thresholds=fixed:1.5,1.5",
    *FEW,
)
SHORTER = {
    "64, all]": "64]",
    '"seed=1"]': '"seed=1", *SMALL]',
    "10_000": "30",
    '"lpips-alex"': '"lpips-alex", "random:0"',
}
"""What the tests change: fewer steps and images, and weights that are on every machine."""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with the files that the blocks name; the working directory."""
    images = np.random.default_rng(0).integers(0, 256, (150, 32, 32, 3), dtype=np.uint8)
    for name in ("train", "holdout"):
        folder = tmp_path / name
        folder.mkdir()
        for index, image in enumerate(images[:10] if name == "train" else images[30:]):
            Image.fromarray(image).save(folder / f"{index}.png")
    channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    np.savez(tmp_path / "samples.npz", samples=images[:30])
    np.save(tmp_path / "train.npy", channels_first[:10])
    channels_first[:30].tofile(tmp_path / "samples.raw")
    monkeypatch.chdir(tmp_path)
    before = {id(registry): set(registry) for registry in (CHECKS, DETECTORS, MEASURES)}
    yield tmp_path
    for registry in (CHECKS, DETECTORS, MEASURES):  # what a block registers is of no concern to others
        for name in set(registry) - before[id(registry)]:
            del registry[name]


def shortened(block):
    for text, instead in SHORTER.items():
        block = block.replace(text, instead)
    return block


@pytest.mark.parametrize("block", BLOCKS[1:])
def test_every_block_of_python_runs(block, home):
    Path("block.py").write_text(shortened(block))
    runpy.run_path("block.py", run_name="__main__")


@pytest.mark.slow
def test_the_readme_s_python_runs_as_a_file(tmp_path):
    (block,) = BLOCKS[0].values
    code = f"SMALL = {SMALL}\n{shortened(block)}"
    (tmp_path / "readme.py").write_text(code)
    command = [sys.executable, "readme.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.startswith("epsilon=0.1 memorization=Capacity(")
    assert done.stdout.count("tensor([[") == 1  # by the script alone, not by its workers
    assert done.stderr == ""


def commands():
    """Every command line of the pages, from blocks and from the text."""
    for page in PAGES:
        text = page.read_text()
        blocks = "\n".join(re.findall(r"```\w*\n(.*?)```", text, flags=re.DOTALL)).replace("\\\n", " ")
        inline = re.findall(r"`(spurion [a-z]+[^`]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        for line in [*re.findall(r"^(?:\$ )?(spurion .*)$", blocks, flags=re.MULTILINE), *inline]:
            yield page.name, " ".join(line.split())


def test_the_options_of_every_command_exist():
    verbs = typer.main.get_command(app).commands
    found = list(commands())
    assert len(found) > 20
    for page, line in found:
        _, verb, *arguments = shlex.split(line)
        assert verb in verbs, f"{page}: {line}"
        known = {name for each in verbs[verb].params for name in (*each.opts, *each.secondary_opts)}
        used = {word.partition("=")[0] for word in arguments if re.match(r"--?[a-z]", word)}
        assert used <= known | {"--help"}, f"{page}: {line}"
