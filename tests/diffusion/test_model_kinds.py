"""Model folders of others: where the parts lie, what weights are called, and what is refused by name."""

import json
import shutil

import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file

from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.folder import folder_hash, load_denoiser, save_denoiser
from spurion.diffusion.network_file import LARGEST_ITEM
from spurion.diffusion.samplers import SamplerConfig, sample
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.weights_file import WEIGHTS_FILE

STEM = "diffusion_pytorch_model"


def network(**changes):
    settings = {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": (8, 8),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "norm_num_groups": 4,
        "layers_per_block": 1,
        "attention_head_dim": 4,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet2DModel(**settings | changes)


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def answer(folder):
    x_t = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return load_denoiser(folder)(x_t, 30)


@pytest.fixture
def saved(tmp_path):
    DDPMPipeline(network(), DDPMScheduler(num_train_timesteps=50)).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def expected(saved):
    return answer(saved)


def test_parts_beside_the_index_open(saved, expected):
    for part in ("unet", "scheduler"):
        for path in (saved / part).iterdir():
            path.rename(saved / path.name)
        (saved / part).rmdir()
    assert sorted(path.name for path in saved.iterdir()) == [
        "config.json",
        WEIGHTS_FILE,
        "model_index.json",
        "scheduler_config.json",
    ]
    assert torch.equal(answer(saved), expected)
    first = folder_hash(saved)
    edit(saved / "config.json", act_fn="gelu")
    assert folder_hash(saved) != first


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", f"{STEM}.fp16.safetensors", f"{STEM}.non_ema.safetensors", "any.safetensors"],
)
def test_the_only_weights_are_read_whatever_they_are_called(saved, expected, name):
    (saved / "unet" / WEIGHTS_FILE).rename(saved / "unet" / name)
    assert torch.equal(answer(saved), expected)


@pytest.mark.parametrize("name", [f"{STEM}.fp16.safetensors", f"{STEM}.non_ema.safetensors"])
def test_the_plain_weights_are_preferred(saved, expected, name):
    shutil.copy(saved / "unet" / WEIGHTS_FILE, saved / "unet" / name)
    spoilt = {key: value * 2 for key, value in load_file(saved / "unet" / name).items()}
    save_file(spoilt, saved / "unet" / name)
    assert torch.equal(answer(saved), expected)
    (saved / "unet" / WEIGHTS_FILE).unlink()
    assert not torch.equal(answer(saved), expected)


def test_several_variants_are_a_question(saved):
    for variant in ("fp16", "non_ema"):
        shutil.copy(saved / "unet" / WEIGHTS_FILE, saved / "unet" / f"{STEM}.{variant}.safetensors")
    (saved / "unet" / WEIGHTS_FILE).unlink()
    names = rf"{STEM}.fp16.safetensors, {STEM}.non_ema.safetensors"
    with pytest.raises(
        ValueError, match=rf"has several weights \({names}\); name the right ones {WEIGHTS_FILE}"
    ):
        answer(saved)


def shard(folder, stem=STEM):
    """Store the weights in shards, as diffusers does with large ones."""
    weights = load_file(folder / WEIGHTS_FILE)
    names, places = sorted(weights), {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"{stem}-{number:05d}-of-00002.safetensors"
        save_file({name: weights[name] for name in part}, folder / file)
        places |= dict.fromkeys(part, file)
    (folder / WEIGHTS_FILE).unlink()
    index = folder / f"{stem}.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index


def test_shards_are_read(saved, expected):
    shard(saved / "unet")
    assert torch.equal(answer(saved), expected)


def test_shards_of_a_variant_are_read(saved, expected):
    index = shard(saved / "unet")
    index.rename(saved / "unet" / f"{STEM}.safetensors.index.fp16.json")
    assert torch.equal(answer(saved), expected)


def test_diffusers_own_shards_are_read(saved, expected):
    network().save_pretrained(saved / "unet", max_shard_size="8KB")
    (saved / "unet" / WEIGHTS_FILE).unlink()
    assert len(list((saved / "unet").glob("*.safetensors"))) > 1
    assert torch.equal(answer(saved), expected)


@pytest.mark.parametrize("content", ["[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": 1}}'])
def test_damaged_indices_of_shards_are_refused(saved, content):
    shard(saved / "unet").write_text(content)
    with pytest.raises(ValueError, match=r"index.json is damaged: it names no files of this folder"):
        answer(saved)


def test_shards_outside_the_folder_are_refused(saved):
    index = shard(saved / "unet")
    index.write_text(json.dumps({"weight_map": {"conv_in.weight": "../../secret.safetensors"}}))
    with pytest.raises(ValueError, match="it names no files of this folder"):
        answer(saved)


def test_missing_shards_are_named(saved):
    shard(saved / "unet")
    (saved / "unet" / f"{STEM}-00002-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match=r"00002-of-00002.safetensors is damaged: it cannot be read"):
        answer(saved)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        (torch.bfloat16, 0.2),
        (torch.float16, 0.02),
        (torch.float64, 0.0),
        (torch.float8_e4m3fn, 3.0),
        (torch.float8_e5m2, 5.0),
    ],
)
def test_all_floating_types_become_float32(saved, expected, dtype, tolerance):
    file = saved / "unet" / WEIGHTS_FILE
    stored = {name: value.to(dtype) for name, value in load_file(file).items()}
    save_file(stored, file)
    loaded = load_denoiser(saved)
    for name, value in loaded.network.state_dict().items():
        assert torch.equal(value, stored[name].float())
    assert torch.allclose(answer(saved), expected, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.int64])
def test_weights_of_other_types_are_refused(saved, dtype):
    file = saved / "unet" / WEIGHTS_FILE
    weights = load_file(file)
    save_file({**weights, "conv_in.bias": weights["conv_in.bias"].to(dtype)}, file)
    with pytest.raises(ValueError, match=f"`conv_in.bias` must be of a floating-point type, got {dtype}"):
        answer(saved)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(saved, bad):
    file = saved / "unet" / WEIGHTS_FILE
    weights = load_file(file)
    weights["conv_in.bias"][:3] = bad
    save_file({name: value.half() for name, value in weights.items()}, file)
    with pytest.raises(ValueError, match=r"`conv_in.bias` holds 3 numbers of 8 that are NaN or infinite"):
        answer(saved)


def test_float64_weights_beyond_float32_are_refused(saved):
    file = saved / "unet" / WEIGHTS_FILE
    weights = {name: value.double() for name, value in load_file(file).items()}
    weights["conv_in.bias"][0] = 1e300
    save_file(weights, file)
    with pytest.raises(ValueError, match=r"`conv_in.bias` holds 1 numbers of 8 that are NaN or infinite"):
        answer(saved)


def test_attention_weights_of_former_versions_are_read(saved, expected):
    file = saved / "unet" / WEIGHTS_FILE
    former = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    weights = {}
    for name, value in load_file(file).items():
        for now, then in former.items():
            name = name.replace(now, then)
        weights[name] = value
    assert any("proj_attn" in name for name in weights)
    save_file(weights, file)
    assert torch.equal(answer(saved), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"_class_name": "LDMPipeline"},
            r"'LDMPipeline' \(images in the latents of another network\) is not",
        ),
        ({"_class_name": "ScoreSdeVePipeline"}, r"'ScoreSdeVePipeline' \(a process in continuous time\)"),
        ({"_class_name": "KarrasVePipeline"}, r"'KarrasVePipeline' \(a process in noise levels"),
        ({"_class_name": "StableDiffusionPipeline"}, r"'StableDiffusionPipeline' \(text to images\)"),
        ({"_class_name": "DiTPipeline"}, r"'DiTPipeline' \(classes to images\)"),
        ({"_class_name": "ConsistencyModelPipeline"}, r"'Consist.*' \(a network distilled into few steps\)"),
        ({"_class_name": "FluxPipeline"}, "'FluxPipeline'"),
        ({"_class_name": 3}, "3 is not supported"),
        ({"_class_name": None}, "is damaged: it does not say of which class"),
        ({"vqvae": ["diffusers", "VQModel"]}, r"with vqvae VQModel' \(images in the latents"),
        ({"text_encoder": ["transformers", "CLIPTextModel"]}, "with text_encoder CLIPTextModel' is not"),
        ({"unet": None}, "is damaged: it does not say of which class its `unet` is"),
        ({"unet": ["diffusers", 3]}, "is damaged: it does not say of which class its `unet` is"),
        ({"scheduler": ["DDPMScheduler"]}, "it does not say of which class its `scheduler` is"),
        ({"scheduler": ["diffusers", "EDMEulerScheduler"]}, "'EDMEulerScheduler'"),
        ({"unet": ["diffusers", "UNet1DModel"]}, "of the class UNet2DModel, but the index .* 'UNet1DModel'"),
    ],
)
def test_other_pipelines_are_refused_by_name(saved, changes, message):
    edit(saved / "model_index.json", **changes)
    with pytest.raises(ValueError, match=f"{saved}.*{message}"):
        load_denoiser(saved)


@pytest.mark.parametrize("content", ["[]", "{}", "3", "null"])
def test_an_index_that_says_nothing_is_damaged(saved, content):
    (saved / "model_index.json").write_text(content)
    with pytest.raises(ValueError, match=r"model_index.json is damaged: it does not say of which class"):
        load_denoiser(saved)


@pytest.mark.parametrize("name", ["DDIMPipeline", "PNDMPipeline"])
def test_other_pipelines_of_the_same_process_open(saved, expected, name):
    edit(saved / "model_index.json", _class_name=name, safety_checker=[None, None], strict=True)
    assert torch.equal(answer(saved), expected)


@pytest.mark.parametrize(
    "name", ["VQModel", "AutoencoderKL", "UNet2DConditionModel", "DiTTransformer2DModel"]
)
def test_other_networks_are_refused_by_name(saved, name):
    edit(saved / "unet" / "config.json", _class_name=name)
    with pytest.raises(
        ValueError, match=rf"config.json: '{name}' \(.*\) is not supported; known are UNet2DModel"
    ):
        load_denoiser(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_class_embeds": 10}, r"conditioned on classes \(`num_class_embeds`, `class_embed_type`\)"),
        ({"class_embed_type": "timestep"}, "conditioned on classes"),
        (
            {"time_embedding_type": "fourier"},
            "`time_embedding_type`: fourier is for noise levels in continuous",
        ),
        (
            {"time_embedding_type": "learned", "num_train_timesteps": 20},
            "made for another schedule: its `num_train_timesteps` is 20, and that of the scheduler 50",
        ),
        (
            {"layers_per_block": 10**9},
            "`layers_per_block` does not fit the weights beside it, got 1000000000",
        ),
        ({"layers_per_block": -1}, "`layers_per_block` does not fit the weights"),
        ({"layers_per_block": "many"}, "`layers_per_block` does not fit the weights .* got 'many'"),
        ({"block_out_channels": [8] * 10**4}, "`block_out_channels` does not fit the weights .* got 10000"),
        ({"block_out_channels": [10**9, 10**9]}, "its network cannot be built"),
        ({"sample_size": 10**9}, f"an image must have 1 to {LARGEST_ITEM} numbers, got shape"),
        ({"sample_size": 0}, "an image must have 1 to"),
        ({"sample_size": "8"}, "the shape of its images must be whole numbers"),
        ({"sample_size": [8, 8, 8]}, "the shape of its images must be whole numbers, got None"),
        ({"sample_size": 7}, r"its network cannot be built \(.*(8|7|4)"),
        ({"act_fn": "magic"}, r"its network cannot be built \(.*magic"),
        ({"freq_shift": "x"}, "its network cannot be built"),
    ],
)
def test_networks_that_cannot_be_are_refused(saved, changes, message):
    edit(saved / "unet" / "config.json", **changes)
    with pytest.raises(ValueError, match=message):
        load_denoiser(saved)


def test_a_learned_embedding_of_the_same_steps_opens(tmp_path):
    net = network(time_embedding_type="learned", num_train_timesteps=50)
    DDPMPipeline(net, DDPMScheduler(num_train_timesteps=50)).save_pretrained(tmp_path)
    assert load_denoiser(tmp_path).shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 20}, "its `steps` is 20, and that of the scheduler 50"),
        ({"beta_end": 0.5}, "its `beta_end` is 0.5, and that of the scheduler 0.02"),
        ({"time_features": 10**8}, "`time_features` does not fit the weights"),
        ({"blocks": 10**8}, "`blocks` does not fit the weights"),
        ({"shape": None}, "the shape of its images must be whole numbers, got None"),
    ],
)
def test_our_own_networks_are_checked_too(tmp_path, changes, message):
    denoiser = MLPConfig(width=8, blocks=1).build(
        torch.zeros(1, 5), DDPMSchedule(50), generator=torch.Generator()
    )
    save_denoiser(denoiser, tmp_path)
    edit(tmp_path / "unet" / "config.json", **changes)
    with pytest.raises(ValueError, match=message):
        load_denoiser(tmp_path)


def test_settings_of_averaging_in_a_network_s_file_do_not_matter(saved, expected):
    edit(saved / "unet" / "config.json", decay=0.9999, use_ema_warmup=True, optimization_step=10)
    assert torch.equal(answer(saved), expected)


def test_nothing_is_printed(saved, capfd, recwarn):
    edit(saved / "unet" / "config.json", decay=0.9999, downsample_type=None)
    answer(saved)
    edit(saved / "unet" / "config.json", act_fn="magic")
    with pytest.raises(ValueError, match="cannot be built"):
        load_denoiser(saved)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_the_way_of_sampling_does_not_matter_to_the_process(saved, expected):
    DDIMScheduler(num_train_timesteps=50, clip_sample=False).save_config(saved / "scheduler")
    edit(saved / "model_index.json", scheduler=["diffusers", "DDIMScheduler"])
    assert torch.equal(answer(saved), expected)


def test_the_range_of_clipping_is_that_of_the_scheduler(saved, tmp_path):
    narrow = sample(load_denoiser(saved), 4, SamplerConfig(steps=5), seed=0)
    edit(saved / "scheduler" / "scheduler_config.json", clip_sample_range=3.0)
    denoiser = load_denoiser(saved)
    wide = sample(denoiser, 4, SamplerConfig(steps=5), seed=0)
    assert narrow.abs().max() <= 1 < wide.abs().max() <= 3
    save_denoiser(denoiser, tmp_path / "again")
    assert load_denoiser(tmp_path / "again").clip_range == 3.0
