"""What `samples.csv` says of each sample beside its distances: known answers, and the shares they make."""

import csv

import numpy as np
import pytest
import torch
from scipy.stats import hypergeom

from spurion.audits.beyond import p_values
from spurion.audits.findings import MORE_COLUMNS, SAMPLE_COLUMNS
from spurion.audits.ground import all_shares, ground_for, real_images
from spurion.audits.measurement import measure
from spurion.audits.written import evidence_columns, write_samples_csv
from spurion.core.random import generator
from spurion.neighbors import load_distance
from spurion.phases.anchor import RANK
from spurion.phases.classification import class_shares
from spurion.phases.thresholds import fixed
from spurion.report.evidence import read_samples

L2 = load_distance("l2")
TRAIN, HELD_OUT = 120, 90


def images(count, name):
    """Images of 16 numbers, far apart."""
    return (torch.randn(count, 1, 4, 4, generator=generator(0, "columns", name)) / 4).clamp(-1, 1)


@pytest.fixture(scope="module")
def sets():
    """20 copies, 20 held-out images, 12 + 12 twins, 26 alone."""
    train, held_out, twins = images(TRAIN, "train"), images(HELD_OUT, "held out"), images(12, "twins")
    samples = torch.cat([train[:20], held_out[:20], twins, twins, images(26, "alone")])
    return train, samples, held_out


def columns(sets, thresholds, size, listed=None):
    train, samples, held_out = sets
    found = measure(train, samples, held_out, distance=L2, seed=0, sample_size=size)
    anchor = real_images(train, held_out, None, L2, seed=0)
    ground = ground_for("null:0.05", found, anchor=anchor, distance=L2, sample_size=size)
    p = p_values(found, ground, L2)
    return found, ground, evidence_columns(found, thresholds or ground.thresholds, p, listed)


@pytest.mark.parametrize("size", [2, 30, 90])
def test_met_again_is_the_chance_of_a_twin_in_a_random_subset(sets, size):
    thresholds = fixed(0.01, 0.01).model_copy(update={"sample_size": size})
    _, _, more = columns(sets, thresholds, size)
    met = np.array(more["met_again"])
    chance = 1 - hypergeom(89, 1, size - 1).pmf(0)  # among the others of the subset, the only twin
    np.testing.assert_allclose(met[40:64], chance, atol=1e-12)
    assert not met[:40].any()
    assert not met[64:].any()


@pytest.mark.parametrize("size", [30, 90])
def test_their_mean_over_what_is_not_memorized_is_the_spurious_share(sets, size, tmp_path):
    found, ground, more = columns(sets, None, size)
    labels = torch.zeros(90, dtype=torch.int64)
    write_samples_csv(tmp_path / "samples.csv", found, labels, more)
    read = read_samples(tmp_path / "samples.csv", 90, TRAIN)
    memorized = read.distance_train <= ground.thresholds.memorized
    shares = all_shares(found, ground, seed=0).main.fractions
    spurious = float(torch.from_numpy(read.met_again * ~memorized).mean())
    assert (
        spurious
        == shares.spurious.value
        == class_shares(found.distance_train, found.to_samples.distances, ground.thresholds)[1]
    )
    assert 0 < spurious < 1
    assert read.met_again[~memorized].mean() * (~memorized).mean() == pytest.approx(spurious, rel=1e-12)


def test_p_values_of_copies_and_of_held_out_images(sets, tmp_path):
    """A copy is nearer than any new image; a held-out image has its own rank among them, from 30 on."""
    found, ground, more = columns(sets, None, 90)
    write_samples_csv(tmp_path / "samples.csv", found, None, more)
    p = read_samples(tmp_path / "samples.csv", 90, TRAIN).p_value
    assert p.tolist() == more["p_value"]
    assert (p[:20] == 0).all()
    to_train = torch.cdist(sets[2].flatten(1).double(), sets[0].flatten(1).double()).min(dim=1).values
    ranks = to_train.argsort().argsort()[:20].numpy() + 1
    far = ranks >= RANK
    assert 5 < far.sum() < 20
    np.testing.assert_allclose(p[20:40][far], (1 + ranks[far]) / (HELD_OUT + 1), rtol=1e-12)
    near, quantile = to_train[:20][torch.from_numpy(~far)], to_train.sort().values[RANK - 1]
    carried = RANK / (HELD_OUT + 1) * (near / quantile) ** ground.thresholds.null.dimension
    np.testing.assert_allclose(p[20:40][~far], carried.numpy(), rtol=1e-6)  # images are float32
    assert (p[20:] > 0).all()


def test_what_is_not_known_is_empty(sets, tmp_path):
    found, _, _ = columns(sets, None, 90)
    path = tmp_path / "samples.csv"
    for thresholds in (None, fixed(0.1, 0.1).model_copy(update={"spurious": None})):
        write_samples_csv(path, found, None, evidence_columns(found, thresholds, None, None))
        rows = list(csv.DictReader(path.open()))
        assert {row[name] for row in rows for name in ("p_value", "met_again", "listed")} == {""}
        read = read_samples(path, 90, TRAIN)
        assert np.isnan(read.p_value).all()
        assert np.isnan(read.met_again).all()
        assert (read.listed == -1).all()


def test_listed_samples_are_those_of_the_list(sets, tmp_path):
    found, _, more = columns(sets, None, 90, listed=(0, 7, 89))
    transform = ["mirror", *[""] * 89]
    write_samples_csv(tmp_path / "samples.csv", found, None, {"transform": transform, **more})
    read = read_samples(tmp_path / "samples.csv", 90, TRAIN)
    assert np.flatnonzero(read.listed == 1).tolist() == [0, 7, 89]
    assert (read.listed >= 0).all()
    titles, first, second, *_ = (tmp_path / "samples.csv").read_text().splitlines()
    assert titles.split(",") == [*SAMPLE_COLUMNS, "transform", "p_value", "met_again", "listed"]
    assert first.endswith(",true")
    assert ",mirror," in first
    assert second.endswith(",false")
    assert evidence_columns(found, None, None, ())["listed"] == [False] * 90


def test_a_column_that_is_not_known_is_refused(sets, tmp_path):
    found, _, _ = columns(sets, None, 90)
    with pytest.raises(ValueError, match=f"columns among {', '.join(MORE_COLUMNS)}, got 'surprise'"):
        write_samples_csv(tmp_path / "samples.csv", found, None, {"surprise": [""] * 90})
    assert not (tmp_path / "samples.csv").exists()
