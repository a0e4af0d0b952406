"""Public functions with arguments of wrong kinds: always one sentence, never an error of torch or NumPy."""

import subprocess
import sys

import pytest
import torch

import spurion

# In a process of its own: here the annotations are checked, which would speak first.
CALLS = """
import inspect, traceback, warnings
import numpy as np, torch
import spurion
from spurion.data import open_images
from spurion.diffusion import DDPMSchedule, ExactConfig, SamplerConfig, load_denoiser, sample
from spurion.circle import RingEnergy, paper_circle, ring_radius, ring_ripple
from spurion.memory import *
from spurion.neighbors import as_distance, load_distance, nearest, save_features, within
from spurion.phases import classify, fixed, parse_condition, parse_rule
from spurion.report import write_report

WRONG = (None, [1.0, "a"], np.zeros((3, 4)), "nowhere/at/all", "seven", 3, object(), -1, float("nan"),
         torch.zeros(0), torch.arange(4), {}, 1j)
images = torch.linspace(-1, 1, 96).reshape(6, 1, 4, 4)
states = torch.linspace(-1, 1, 15, dtype=torch.float64).reshape(5, 3)
signs = torch.ones(2, 4)
memory = DenseAM(states, 4.0)
generator = torch.Generator().manual_seed(0)
exact = ExactConfig().build(images, DDPMSchedule(20), generator=generator)
distances = torch.ones(4, dtype=torch.float64)
metric = spurion.PhaseMetric()
DOORS = [
    (spurion.PhaseMetric, {}, ()),
    (metric.update, {"images": images, "real": True}, ()),
    (spurion.studies.plan, {"what": "circle"}, ()),
    (write_report, {"folder": "none"}, ()),
    (open_images, {"source": "digits"}, ()),
    (nearest, {"queries": images, "reference": images}, ()),
    (within, {"queries": images, "reference": images, "radius": 1.0}, ()),
    (as_distance, {"distance": "l2"}, ()),
    (load_distance, {"name": "l2"}, ()),
    (save_features, {"path": "f.npz", "images": images, "vectors": torch.ones(6, 2)}, ("path",)),
    (DenseAM, {"patterns": states, "beta": 1.0}, ()),
    (DotProductAM, {"patterns": states, "beta": 1.0}, ()),
    (HopfieldNetwork, {"patterns": signs}, ()),
    (inverse_temperature, {"sigma_t": 1.0}, ()),
    (find_minima, {"memory": memory, "generator": generator}, ("barriers",)),
    (retrieve, {"memory": memory, "x": states}, ()),
    (paper_circle, {"count": 3}, ()),
    (random_circle, {"count": 3, "generator": generator}, ()),
    (RingEnergy, {"beta": 2.0}, ()),
    (ring_radius, {"beta": 2.0}, ()),
    (ring_ripple, {"count": 3, "beta": 2.0}, ()),
    (classify, {"distance_train": distances, "distance_sample": distances, "thresholds": fixed(1, 1)}, ()),
    (parse_condition, {"text": "memorized > 0.1"}, ()),
    (parse_rule, {"text": "valley"}, ()),
    (sample, {"denoiser": exact, "count": 1, "config": SamplerConfig(steps=2), "seed": 0}, ()),
    (load_denoiser, {"folder": "none"}, ("device",)),
]
for door, good, unchecked in DOORS:
    for name in set(inspect.signature(door).parameters) - set(unchecked):
        for value in WRONG:
            try:
                with warnings.catch_warnings(action="ignore"):
                    door(**{**good, name: value})
            except ValueError as error:
                where = traceback.extract_tb(error.__traceback__)[-1].filename
                if "spurion" not in where or "\\n" in str(error):
                    print(door.__qualname__, name, repr(value), where, error)
            except Exception as error:
                print(door.__qualname__, name, repr(value), type(error).__name__, error)
"""


def test_an_argument_of_a_wrong_kind_is_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CALLS], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == ""


def test_a_misspelt_keyword_is_python_s_own_error():
    with pytest.raises(TypeError, match="hold_out"):
        spurion.audit("train.npz", "samples.npz", hold_out="x")


def test_a_seed_is_not_negative():
    images = torch.zeros(2, 1, 4, 4)
    with pytest.raises(ValueError, match=r"^`seed` must be at least 0, got -1\.$"):
        spurion.audit(images, images, seed=-1)
