import json

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel

from spurion.core.tensors import Damaged
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.denoisers.network import NetworkDenoiser
from spurion.diffusion.finite import check_answers
from spurion.diffusion.folder import load_denoiser, save_denoiser
from spurion.diffusion.samplers import SamplerConfig, sample
from spurion.diffusion.sampleset import sample_to_folder
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.state import denoiser_hash

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


SETTINGS = {
    "act_fn": "gelu",
    "attention_head_dim": 2,
    "center_input_sample": True,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "mid_block_scale_factor": 2,
    "norm_eps": 0.5,
}
"""Settings of a U-Net that change its answers and none of its weights."""


def unet(prediction="epsilon", **changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNet2DModel(
            sample_size=4,
            in_channels=1,
            out_channels=1,
            block_out_channels=(8, 8),
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            norm_num_groups=4,
            layers_per_block=1,
            **{"attention_head_dim": 4, **changes},
        )
    return NetworkDenoiser(network, DDPMSchedule(50), (1, 4, 4), prediction)


@pytest.fixture(scope="module")
def of_a_unet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unet")
    draw(folder, unet())
    return folder


def test_a_unet_built_again_is_the_same_model(of_a_unet):
    assert torch.equal(draw(of_a_unet, unet()), sample(unet(), 10, CONFIG, seed=0))
    draw(of_a_unet, unet(), progress=killer(1))


UNREAD = {
    "clip_sample": ("scheduler/scheduler_config.json", None),
    "variance_type": ("scheduler/scheduler_config.json", "fixed_large"),
    "timestep_spacing": ("scheduler/scheduler_config.json", "trailing"),
    "of_another_version": ("unet/config.json", 1),
}
"""Settings of a model folder that no sampler here reads, the file they are in and another value."""


@pytest.mark.parametrize("layout", ["parts", "beside"])
@pytest.mark.parametrize("setting", UNREAD)
def test_every_setting_of_a_model_folder_is_part_of_the_request(tmp_path, setting, layout):
    model = tmp_path / "model"
    save_denoiser(unet(), model)
    if layout == "beside":
        for path in [*model.glob("unet/*"), *model.glob("scheduler/*")]:
            path.rename(model / path.name)
        (model / "unet").rmdir(), (model / "scheduler").rmdir()
    draw(tmp_path / "final", load_denoiser(model))
    with pytest.raises(Killed):
        draw(tmp_path / "killed", load_denoiser(model), progress=killer(7))
    model.rename(tmp_path / "elsewhere")
    draw(tmp_path / "final", load_denoiser(tmp_path / "elsewhere"), progress=killer(1))
    file, value = UNREAD[setting]
    path = tmp_path / "elsewhere" / (file if layout == "parts" else file.split("/")[1])
    path.write_text(json.dumps(json.loads(path.read_text()) | {setting: value}))
    before = (tmp_path / "final" / "samples.npz").read_bytes()
    for folder in ("final", "killed"):
        with pytest.raises(ValueError, match=r"holds samples of another model, .* delete it or choose"):
            draw(tmp_path / folder, load_denoiser(tmp_path / "elsewhere"))
    assert (tmp_path / "final" / "samples.npz").read_bytes() == before


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_of_a_network_is_part_of_the_request(of_a_unet, setting):
    other = unet(**{setting: SETTINGS[setting]})
    assert not torch.equal(sample(other, 10, CONFIG, seed=0), sample(unet(), 10, CONFIG, seed=0))
    with pytest.raises(ValueError, match="holds samples of another model"):
        draw(of_a_unet, other)


def clipped_elsewhere():
    model = unet()
    model.clip_range = 2.0
    return model


@pytest.mark.parametrize(
    "other",
    [unet("sample"), unet("v_prediction"), clipped_elsewhere()],
    ids=["sample", "v_prediction", "clip_range"],
)
def test_what_is_made_of_a_network_s_answer_is_part_of_the_request(of_a_unet, other):
    with pytest.raises(ValueError, match="holds samples of another model"):
        draw(of_a_unet, other)


def test_networks_in_half_precision_can_be_told_apart(tmp_path):
    hashes = {denoiser_hash(half(unet(), dtype)) for dtype in (torch.bfloat16, torch.float16, torch.float32)}
    assert len(hashes) == 3


def half(model, dtype):
    return NetworkDenoiser(model.network.to(dtype), model.schedule, model.shape)


@pytest.mark.parametrize("form", [{}, {"format": 2}])
def test_samples_of_a_former_version_are_kept(tmp_path, form):
    settings = {"denoiser": "0" * 64, "sampler": CONFIG.model_dump(), "seed": 0, "count": 10}
    request = json.dumps(form | settings)
    path = tmp_path / "samples.npz"
    np.savez(path, samples=np.zeros((10, 1, 2, 3), dtype=np.float32), request=np.array(request))
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match=r"samples.npz was written by a former version of Spurion.*draw .* anew"
    ):
        draw(tmp_path)
    assert path.read_bytes() == before


def test_a_short_schedule_is_sampled_in_all_its_steps(tmp_path):
    model = ExactDenoiser(denoiser().patterns, DDPMSchedule(7))
    seen = []
    samples = draw(
        tmp_path, model, config=SamplerConfig(), progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(done, 7) for done in range(1, 8)]
    assert torch.equal(samples, sample(model, 10, SamplerConfig(steps=7), seed=0))
    draw(tmp_path, model, config=SamplerConfig(steps=7), progress=killer(1))
    with pytest.raises(ValueError, match="`steps` must be at most the schedule's 7, got 1000"):
        draw(tmp_path, model, config=SamplerConfig(steps=1000))


class Failing(torch.nn.Module):
    """Answers with numbers down to some step, and with `bad` below it."""

    def __init__(self, bad, below):
        super().__init__()
        self.bad, self.below = bad, below

    def forward(self, x_t, t):
        answer = torch.zeros_like(x_t)
        answer[-1, ..., 0] = self.bad if int(t[0]) < self.below else 0.0
        return answer


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(("below", "step"), [(50, 49), (30, 25), (1, 0)])
@pytest.mark.parametrize("clip", [True, False])
def test_answers_that_are_no_numbers_are_an_error(bad, below, step, clip):
    model = NetworkDenoiser(Failing(bad, below), DDPMSchedule(50), (1, 2, 3), "sample")
    sentence = f"The model in memory answers NaN or infinity at step {step}: .* overflow in float32"
    with pytest.raises(ValueError, match=sentence):
        sample(model, 4, SamplerConfig(steps=3, clip=clip), seed=0)


def test_nothing_is_written_of_a_model_that_overflows(tmp_path):
    model = unet()
    model.network.conv_out.weight.data.fill_(3e38)
    save_denoiser(model, tmp_path / "model")
    loaded = load_denoiser(tmp_path / "model")
    with pytest.raises(
        ValueError, match=f"The model {tmp_path / 'model'} answers NaN or infinity at step 49"
    ):
        draw(tmp_path / "set", loaded)
    assert not (tmp_path / "set").exists()
    with pytest.raises(ValueError, match="answers NaN or infinity at step 0"):
        check_answers(loaded)


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
