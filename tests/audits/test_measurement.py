import pytest
import torch

from planted import planted
from spurion.audits.measurement import (
    COPY_NOISE,
    load_measurement,
    measure,
    save_measurement,
)
from spurion.neighbors import Neighbors


def brute(x, y):
    return (x.double().flatten(1)[:, None] - y.double().flatten(1)[None]).norm(dim=-1)


def test_distances_are_those_of_brute_force():
    sets = planted(train=70)  # as many held-out images as samples, all of which are looked at
    found = measure(sets.train, sets.samples, sets.holdout, seed=3)
    to_train = brute(sets.samples, sets.train).sort(dim=1)
    assert torch.equal(found.nearest_train, to_train.indices[:, 0])
    torch.testing.assert_close(found.distance_train, to_train.values[:, 0])
    torch.testing.assert_close(found.distance_train_2, to_train.values[:, 1])
    among = brute(sets.samples, sets.samples).fill_diagonal_(torch.inf).min(dim=1)
    assert torch.equal(found.nearest_sample, among.indices)
    torch.testing.assert_close(found.distance_sample, among.values)
    torch.testing.assert_close(found.holdout_train, brute(sets.holdout, sets.train).min(dim=1).values)
    held = brute(sets.holdout, sets.holdout).fill_diagonal_(torch.inf).min(dim=1).values
    torch.testing.assert_close(found.holdout_holdout.sort().values, held.sort().values)
    assert found.first_equal.tolist() == list(range(len(sets.train)))
    assert found.null is not None


def test_control_copies_whisper():
    # The distance of a copy is COPY_NOISE times a chi variable with D = 24: mean 0.0485, deviation 0.007.
    found = measure(planted().train, planted().samples)
    assert len(found.copies) == 20
    assert abs(float(found.copies.mean()) - COPY_NOISE * 24**0.5) < 4 * COPY_NOISE * (0.5 / 20) ** 0.5 + 0.001
    assert float(found.copies.max()) < 0.1


def test_held_out_distances_are_matched_to_the_number_of_samples():
    sets = planted(train=200)
    found = measure(sets.train, sets.samples, sets.holdout)
    assert len(found.holdout_holdout) == len(sets.samples) == 70
    assert len(found.holdout_train) == len(sets.holdout) == 200
    few = measure(sets.train, sets.samples[:59], sets.holdout)
    assert len(few.holdout_holdout) == 0  # so few say nothing of one in a hundred
    assert len(few.holdout_train) == 200


def test_as_many_other_samples_are_known_as_repetitions_take():
    sets = planted(train=200)
    assert measure(sets.train, sets.samples).to_samples.distances.shape == (70, 1)
    assert measure(sets.train, sets.samples, sample_size=30).to_samples.distances.shape == (70, 39)


def test_one_training_image_has_no_second_neighbor():
    sets = planted()
    found = measure(sets.train[:1], sets.samples)
    assert torch.isinf(found.distance_train_2).all()
    assert found.duplicates == 0
    assert found.null is None


def test_storage_is_exact(tmp_path):
    sets = planted()
    for holdout, train in ((sets.holdout, sets.train), (None, sets.train[:1])):
        found = measure(train, sets.samples, holdout)
        save_measurement(found, tmp_path / "m.safetensors")
        again = load_measurement(tmp_path / "m.safetensors")
        for name, value in vars(found).items():
            pairs = [(value, getattr(again, name))]
            if isinstance(value, Neighbors):
                pairs = [(value.distances, pairs[0][1].distances), (value.indices, pairs[0][1].indices)]
            for was, stored in pairs:
                assert torch.equal(was, stored) if isinstance(was, torch.Tensor) else was == stored
    content = (tmp_path / "m.safetensors").read_bytes()
    for cut in (len(content) // 2, 0):
        (tmp_path / "m.safetensors").write_bytes(content[:cut])
        with pytest.raises(ValueError, match=r"m\.safetensors is damaged"):
            load_measurement(tmp_path / "m.safetensors")


def test_bad_sets():
    sets = planted()
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        measure(sets.train, sets.samples[:1])
    with pytest.raises(ValueError, match=r"`samples` must have the training images' shape \(1, 4, 6\)"):
        measure(sets.train, sets.samples[..., :5])
    with pytest.raises(ValueError, match="`holdout` must have"):
        measure(sets.train, sets.samples, sets.holdout[..., :5])
    broken = sets.samples.clone()
    broken[3, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="finite"):
        measure(sets.train, broken)


def test_the_second_neighbor_is_no_duplicate_of_the_first():
    sets = planted()
    train = torch.cat([sets.train, sets.train[:3], sets.train[:1]])
    found, plain = measure(train, sets.samples), measure(sets.train, sets.samples)
    assert torch.equal(found.distance_train_2, plain.distance_train_2)
    assert found.first_equal.tolist() == [*range(20), 0, 1, 2, 0]
    assert found.duplicates == 7


@pytest.mark.parametrize("held_out", [True, False])
def test_every_stage_is_told(held_out):
    sets, told = planted(), []
    measure(sets.train, sets.samples, sets.holdout if held_out else None, progress=lambda *s: told.append(s))
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    first = "search train and held-out" if held_out else "search train"
    assert stages == [first, "search samples", "controls and null"]
    assert all(0 <= done <= total for _, done, total in told)


def test_deep_neighbors_and_groups_are_kept():
    sets = planted(train=80)
    for holdout in (None, sets.holdout):
        found = measure(torch.cat([sets.train, sets.train[5:6]]), sets.samples, holdout)
        assert found.to_train.indices.shape == (70, 50)
        assert found.groups == ((5, 80),)
        assert torch.equal(found.to_train.distances[:, 0], found.distance_train)
