"""The thresholds of a study hang on real images alone, and its capacities on what was drawn anew."""

import json

import numpy as np
import pytest

from spurion.audits.results import AuditResult
from spurion.core.tensors import load_arrays, load_tensors, save_tensors
from spurion.phases.anchor import LEAST
from spurion.phases.null import NullTest
from spurion.statistics.intervals import Interval
from spurion.studies import study
from spurion.studies.capacities import _leaks
from spurion.studies.ground import grounds
from spurion.studies.point import PointTask
from spurion.studies.recipes import named_config
from spurion.studies.results import Point

EXACT = (
    "denoiser={kind: exact}",
    "sampler.steps=20",
    "sample_size=60",
    "geometry=null",
    "flow=null",
    "gallery=2",
)


def run(folder, *more):
    """A study of the exact model, in a second."""
    return study("digits", out=folder, overrides=[*EXACT, *more], workers=1)


def thresholds(result):
    """The thresholds of a study and those beside them; one pair for all points."""
    first, *others = [
        (point.audit.thresholds, [(one.alpha, one.memorized, one.spurious) for one in point.audit.by_alpha])
        for point in result.points
    ]
    assert all(other == first for other in others)
    return first


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(folder, "train_sizes=[2, 8, 100]")


@pytest.mark.parametrize(
    "change",
    [
        ["train_sizes=[2, 8]"],  # without the largest training set
        ["train_sizes=[8]"],  # or most sets of samples
        ["train_sizes=[2, 8]", "seed=3"],  # other models, samples and orders of training images
        ["train_sizes=[100]", "data.subset_seed=5"],
    ],
)
def test_thresholds_are_what_they_are_whatever_the_models(change, whole, tmp_path):
    _, result = whole
    info, beside = thresholds(result)
    assert (info.rule, info.null.held_out, info.sample_size) == ("null:0.01", True, 60)
    assert [alpha for alpha, *_ in beside] == [0.05, 0.01, 0.001]
    other = thresholds(run(tmp_path, *change))
    # the order of training images moves sums of squares by a rounding
    assert other[0].memorized == pytest.approx(info.memorized, rel=1e-9)
    assert other[0].spurious == pytest.approx(info.spurious, rel=1e-9)
    assert np.allclose(other[1], beside, rtol=1e-9)


def test_the_anchor_is_kept_and_made_again_where_it_is_damaged(whole, caplog):
    folder, result = whole
    path = folder / "anchor.safetensors"
    kept = path.read_bytes()
    config = named_config("digits", [*EXACT, "train_sizes=[2, 8, 100]"])
    tasks = [PointTask(folder / "points" / f"{size:06d}", config, size) for size in (2, 8, 100)]
    before = path.stat().st_mtime_ns
    found = grounds(config, tasks)
    assert path.stat().st_mtime_ns == before
    assert found[2].thresholds == result.points[0].audit.thresholds
    path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    assert grounds(config, tasks)[8].thresholds == found[2].thresholds
    assert "anchor.safetensors is damaged" in caplog.text
    assert path.read_bytes() == kept


def test_no_thresholds_without_points_or_images(whole, tmp_path):
    folder, _ = whole
    config = named_config("digits", [*EXACT, "train_sizes=[2]"])
    assert grounds(config, []) == {}
    assert LEAST == 60
    assert load_tensors(folder / "anchor.safetensors")[0]["to_train"].shape == (359,)


def test_a_measurement_of_a_former_version_is_made_again(whole, caplog):
    folder, result = whole
    path = folder / "points" / "000008" / "measurement.safetensors"
    kept = path.read_bytes()
    tensors, facts = load_tensors(path)
    near = tensors.pop("to_samples.distances"), tensors.pop("to_samples.indices")
    tensors |= {"distance_sample": near[0][:, 0], "nearest_sample": near[1][:, 0]}
    save_tensors(path, tensors, {name: facts[name] for name in ("distance", "null")})
    for seal in (path.parent / ".seals").glob("*.json"):
        seal.unlink()
    again = run(folder, "train_sizes=[2, 8, 100]")
    assert (
        f"{path} is of a former version, which kept one other sample near each and no more; it is made again."
        in caplog.messages
    )
    assert "damaged" not in caplog.text
    assert path.read_bytes() == kept
    assert [point.audit for point in again.points] == [point.audit for point in result.points]


def test_capacities_are_those_of_the_replicates(whole):
    folder, result = whole
    drawn = [load_arrays(folder / "points" / f"{size:06d}" / "replicates.npz") for size in (2, 8, 100)]
    assert [sorted(one) for one in drawn] == [["main", "null:0.001", "null:0.01", "null:0.05"]] * 3
    assert all(one["main"].shape == (500, 3) for one in drawn)
    for one, point in zip(drawn, result.points, strict=True):
        value = point.audit.fractions.memorized
        assert value.low <= np.quantile(one["main"][:, 0], 0.025) + 1e-12
        assert np.quantile(one["main"][:, 0], 0.975) - 1e-12 <= value.high
    assert [one.alpha for one in result.capacities_by_alpha] == [0.05, 0.01, 0.001]
    assert result.capacities_by_alpha[1].capacities == result.capacities
    stored = json.loads((folder / "study.json").read_text())
    assert stored["capacities_by_alpha"][0]["alpha"] == 0.05


def leaks(shares):
    """The capacities of a leak, of points with such shares closer to the training set."""
    points = []
    for size, share in shares.items():
        null = share and NullTest.model_construct(share_closer_to_train=None if share == "none" else share)
        audit = null and AuditResult.model_construct(null=null)
        points.append(Point.model_construct(train_size=size, audit=audit))
    return _leaks(points)


class TestLeaks:
    def test_a_curve_by_hand(self):
        # 2 A - 1 is 1, .96, .6, .2, -.2 at 8 to 128
        shares = dict(zip((8, 16, 32, 64, 128), (1.0, 0.98, 0.8, 0.6, 0.4), strict=True))
        found = leaks(
            {k: Interval(value=a, low=a - 0.02, high=min(1.0, a + 0.02)) for k, a in shares.items()}
        )
        assert found.most.value == pytest.approx(16 * 2 ** (0.06 / 0.36), rel=1e-12)
        assert found.half.value == pytest.approx(32 * 2 ** (0.1 / 0.4), rel=1e-12)
        assert found.none.value == pytest.approx(64 * 2 ** (0.2 / 0.4), rel=1e-12)
        assert (found.most.bracket, found.half.bracket, found.none.bracket) == ((16, 32), (32, 64), (64, 128))
        # the ends of the intervals of A, which move 2 A - 1 by .04
        assert (found.half.low, found.half.high) == pytest.approx(
            (32 * 2 ** (0.06 / 0.4), 32 * 2 ** (0.14 / 0.4)), rel=1e-12
        )
        assert "leak excess" not in found.most.note

    def test_a_leak_that_never_ends(self):
        found = leaks({k: Interval(value=0.9, low=0.6, high=1.0) for k in (10, 100)})
        assert (found.none.value, found.none.low, found.none.high, found.none.bracket) == (
            None,
            100.0,
            None,
            (100, None),
        )
        assert found.none.note == (
            "The leak excess is at least 0 even at the largest training size; the capacity lies "
            "above the grid."
        )
        assert found.most.value is None

    def test_points_without_a_share_are_left_out(self):
        full = Interval(value=1.0, low=1.0, high=1.0)
        half = Interval(value=0.5, low=0.5, high=0.5)
        found = leaks({8: full, 16: None, 32: "none", 64: half})
        assert found.half.value == pytest.approx(8 * 8**0.5, rel=1e-12)
        assert leaks({8: None, 16: "none"}) is None
        assert leaks({}) is None
