import numpy as np
import pytest
import torch

from spurion.core.sealed import Damaged
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.samplers import SamplerConfig, sample
from spurion.diffusion.sampleset import sample_to_folder
from spurion.diffusion.schedule import DDPMSchedule

CONFIG = SamplerConfig(steps=5, batch_size=4)


class Killed(Exception):
    pass


def denoiser(seed=0, dtype=torch.float32):
    patterns = torch.rand(6, 1, 2, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return ExactDenoiser(patterns.to(dtype), DDPMSchedule(50))


def draw(folder, model=None, count=10, config=CONFIG, seed=0, **more):
    return sample_to_folder(model or denoiser(), count, config, seed=seed, folder=folder, **more)


def killer(at):
    def progress(done, total):
        if done == at:
            raise Killed

    return progress


def started(folder):
    """A set that was killed in its second batch: one shard is done."""
    with pytest.raises(Killed):
        draw(folder, progress=killer(7))
    return folder / "samples.shards" / "000000.safetensors"


def test_the_file_holds_the_samples(tmp_path):
    samples = draw(tmp_path / "new" / "folder")
    assert torch.equal(samples, sample(denoiser(), 10, CONFIG, seed=0))
    with np.load(tmp_path / "new" / "folder" / "samples.npz", allow_pickle=False) as file:
        assert file["samples"].dtype == np.float32
        assert file["samples"].shape == (10, 1, 2, 3)
        np.testing.assert_array_equal(file["samples"], samples.numpy())
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["samples.npz"]


def test_float64_models_leave_float32_samples(tmp_path):
    samples = draw(tmp_path, denoiser(dtype=torch.float64))
    assert samples.dtype == torch.float32
    assert torch.equal(samples, draw(tmp_path, denoiser(dtype=torch.float64)))


@pytest.mark.parametrize("at", [1, 5, 7, 10, 15])
def test_killed_and_continued_gives_the_same_bytes(tmp_path, at):
    draw(tmp_path / "calm")
    with pytest.raises(Killed):
        draw(tmp_path / "killed", progress=killer(at))
    assert not (tmp_path / "killed" / "samples.npz").exists()
    draw(tmp_path / "killed")
    assert (tmp_path / "calm" / "samples.npz").read_bytes() == (
        tmp_path / "killed" / "samples.npz"
    ).read_bytes()
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["samples.npz"]


def test_what_is_done_is_not_done_again(tmp_path):
    started(tmp_path)
    seen = []
    draw(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 15) for done in range(6, 16)]
    draw(tmp_path, progress=killer(1))  # nothing left to do


def test_killed_between_the_last_write_and_the_clearing(tmp_path):
    shard = started(tmp_path)
    kept = shard.read_bytes()
    draw(tmp_path)
    shard.parent.mkdir()
    shard.write_bytes(kept)
    draw(tmp_path)
    assert not shard.parent.exists()


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"count": 9},
        {"config": SamplerConfig(steps=6, batch_size=4)},
        {"model": denoiser(seed=1)},
        {"model": denoiser(dtype=torch.float64)},
        {"model": ExactDenoiser(denoiser().patterns, DDPMSchedule(50, 1e-4, 3e-2))},
    ],
    ids=["seed", "count", "sampler", "weights", "dtype", "schedule"],
)
@pytest.mark.parametrize("finished", [False, True])
def test_samples_of_another_request_are_refused(tmp_path, finished, other):
    if finished:
        draw(tmp_path)
    else:
        started(tmp_path)
    name = "samples.npz" if finished else "000000.safetensors"
    with pytest.raises(ValueError, match=f"{name} holds samples of another model, sampler, seed or count"):
        draw(tmp_path, **other)


@pytest.mark.parametrize("keep", [0, 4, 60, -8])
def test_damaged_files_are_named(tmp_path, keep):
    draw(tmp_path / "final")
    final = tmp_path / "final" / "samples.npz"
    final.write_bytes(final.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"samples.npz is damaged \(.*\); delete it and run again"):
        draw(tmp_path / "final")


@pytest.mark.parametrize("damage", ["empty", "cut", "first", "middle", "last"])
def test_a_damaged_shard_is_told_and_drawn_again(tmp_path, damage, caplog):
    draw(tmp_path / "calm")
    shard = started(tmp_path / "killed")
    whole = shard.read_bytes()
    if damage in ("empty", "cut"):
        shard.write_bytes(whole[:60] if damage == "cut" else b"")
    else:
        place = {"first": 0, "middle": len(whole) // 2, "last": len(whole) - 1}[damage]
        shard.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
    draw(tmp_path / "killed")
    name = "samples.npz"
    assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "calm" / name).read_bytes()
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{shard} is damaged (")
    assert record.getMessage().endswith("); its samples are drawn again.")


def test_every_flipped_byte_of_a_sample_set_is_noticed_or_changes_nothing(tmp_path):
    expected = draw(tmp_path)
    final = tmp_path / "samples.npz"
    whole, noticed = final.read_bytes(), 0
    for place in range(len(whole)):
        final.write_bytes(whole[:place] + bytes([whole[place] ^ 0x11]) + whole[place + 1 :])
        try:
            assert torch.equal(draw(tmp_path), expected)
        except Damaged:
            noticed += 1
    assert noticed > 0.8 * len(whole)


def test_a_foreign_archive_is_refused(tmp_path):
    np.savez(tmp_path / "samples.npz", samples=np.zeros((10, 1, 2, 3), dtype=np.float32))
    with pytest.raises(ValueError, match=r"samples\.npz is damaged"):
        draw(tmp_path)


def test_count_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match="`count` must be at least 1, got 0"):
        draw(tmp_path, count=0)
    assert not list(tmp_path.iterdir())
