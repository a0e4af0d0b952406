"""A command line run inside the test process, and sets of images to run it on."""

import numpy as np
from typer.testing import CliRunner

from small_geometry import FEW
from spurion.cli import app

VERBS = (
    *("study", "audit", "train", "sample", "neighbors", "classify", "geometry", "prompts"),
    *("report", "doctor"),
)

TINY_STUDY = (
    "--set=train_sizes=[2, 6]",
    "--set=training.iterations=20",
    "--set=training.warmup=2",
    "--set=sampler.steps=4",
    "--set=sample_size=40",
    "--set=gallery=2",
    "--thresholds=fixed:0.5,0.5",
    "--workers=1",
    *(f"--set={field}" for field in FEW),
)
"""Options that make the digits recipe last a second."""


def run(*arguments, **options):
    """Run a command line; the result has exit_code, stdout and stderr."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="spurion", **options)


def refused(*arguments, **options):
    """Run a command line that must end with exit code 2, nothing on stdout and one sentence; return that."""
    result = run(*arguments, **options)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    *progress, sentence = result.stderr.strip().splitlines()
    assert "Traceback" not in result.stderr
    assert all(len(line) < 60 for line in progress)
    assert sentence.startswith("spurion")
    assert sentence.endswith(".")
    return sentence


def write_images(path, images):
    """Write images (n, C, H, W) in [-1, 1] as the samples of a .npz; return the path."""
    np.savez(path, samples=np.asarray(images, dtype=np.float32))
    return path
