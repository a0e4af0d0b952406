"""Folders that are no text-to-image pipeline, or one that is damaged or not supported: one sentence each."""

import json
import math
import shutil
import subprocess
import sys

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, LCMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file

from prompts.tiny_pipelines import CAPTIONS, TOKENS, build_tokenizer, largest, stable, text_encoder, unet
from spurion.diffusion.folder import load_denoiser
from spurion.prompts import load_pipeline
from spurion.prompts.extra import quiet_libraries


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A pipeline that can be opened."""
    return stable(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def whole_xl(tmp_path_factory):
    return largest(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "pipeline")


def change(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def refused(folder, sentence, opened=load_pipeline):
    with pytest.raises(ValueError, match=sentence) as caught:
        opened(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1000
    return message


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("StableDiffusionImg2ImgPipeline", "text to images"),
        ("StableDiffusionInpaintPipeline", "text to images"),
        ("StableDiffusion3Pipeline", "text to images"),
        ("FluxPipeline", None),
        ("LatentConsistencyModelPipeline", "latents"),
        ("KandinskyV22Pipeline", "text to images"),
    ],
)
def test_other_pipelines_are_refused_by_name(folder, kind, reason):
    change(folder / "model_index.json", _class_name=kind)
    message = refused(folder, f"'{kind}' .*is not supported; known are StableDiffusionPipeline, StableDiff")
    assert reason is None or reason in message


def test_models_of_pixels_are_refused(tmp_path):
    with quiet_libraries(), torch.random.fork_rng(devices=[]):
        network = UNet2DModel(
            sample_size=4,
            in_channels=1,
            out_channels=1,
            block_out_channels=(4,),
            norm_num_groups=2,
            down_block_types=("DownBlock2D",),
            up_block_types=("UpBlock2D",),
        )
        DDPMPipeline(network, DDPMScheduler()).save_pretrained(tmp_path / "pixels")
    refused(tmp_path / "pixels", r"holds a model without prompts \(DDPMPipeline\)")
    refused(tmp_path / "pixels" / "unet", r"holds a model without prompts \(a single denoiser\)")
    refused(tmp_path, "is no folder of a text-to-image pipeline: it has no model_index.json")
    refused(tmp_path / "nowhere", "is no folder of a text-to-image pipeline")


def test_a_text_to_image_pipeline_is_no_denoiser_without_a_prompt(whole):
    refused(whole, "makes no images without a text: give `spurion sample` a --prompt", load_denoiser)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"_class_name": None}, "does not say of which class it is"),
        ({"_class_name": 3}, "3 is not supported"),
        ({"text_encoder": [None, None]}, "the pipeline has no text_encoder, without which"),
        ({"unet": ["diffusers", "UNet2DModel"]}, "with unet UNet2DModel"),
        ({"text_encoder": ["transformers", "T5EncoderModel"]}, "known are text_encoder CLIPTextModel"),
        ({"vae": ["diffusers", "AutoencoderDC"]}, "with vae AutoencoderDC"),
        ({"tokenizer": "CLIPTokenizer"}, "the pipeline has no tokenizer"),
        ({"prior": ["diffusers", "PriorTransformer"]}, "a StableDiffusionPipeline with prior"),
        ({"scheduler": ["diffusers", "LCMScheduler"]}, "'LCMScheduler' .*few steps.* is not supported"),
        ({"force_zeros_for_empty_prompt": 3}, "`force_zeros_for_empty_prompt` must be true or false, got 3"),
    ],
)
def test_an_index_that_names_other_parts(folder, fields, sentence):
    change(folder / "model_index.json", **fields)
    refused(folder, sentence)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_missing_parts(folder, part):
    shutil.rmtree(folder / part)
    refused(folder, f"is damaged: it has no folder {part}, which its index names")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("unet/config.json", "unet is damaged: it has no config.json"),
        ("vae/config.json", "vae is damaged: it has no config.json"),
        ("text_encoder/config.json", "text_encoder is damaged: it has no config.json"),
        ("scheduler/scheduler_config.json", "scheduler_config.json is missing"),
        ("unet/diffusion_pytorch_model.safetensors", "unet has no diffusion_pytorch_model.safetensors"),
        ("text_encoder/model.safetensors", "text_encoder has no diffusion_pytorch_model.safetensors"),
    ],
)
def test_missing_files(folder, name, sentence):
    (folder / name).unlink()
    refused(folder, sentence)


@pytest.mark.parametrize("missing", [("tokenizer.json",), ("vocab.json", "tokenizer.json")])
def test_missing_words(folder, missing):
    for path in (folder / "tokenizer").glob("*"):
        if path.name != "tokenizer_config.json":
            path.unlink()
    build_tokenizer(CAPTIONS, folder / "made", max_length=TOKENS, merges=20)
    for name in {"vocab.json", "merges.txt"} - set(missing):
        if missing != ("tokenizer.json",):
            shutil.copy(folder / "made" / name, folder / "tokenizer")
    refused(folder, "tokenizer is damaged: it has no vocab.json, without which no prompt can be read")


def test_damaged_words(folder):
    for path in (folder / "tokenizer").glob("*.json"):
        path.write_text("{")
    refused(folder, "tokenizer is damaged: its tokenizer cannot be built")


def test_a_tokenizer_of_another_model(folder):
    for path in (folder / "tokenizer").iterdir():
        path.unlink()
    build_tokenizer([*CAPTIONS, "many more words " * 9], folder / "tokenizer", max_length=TOKENS, merges=99)
    refused(folder, "tokenizer has 5.. tokens, and the text encoder beside it knows")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_that_are_pickles_only_are_never_opened(folder, part):
    for path in (folder / part).glob("*.safetensors"):
        path.unlink()
    name = "pytorch_model.bin" if part == "text_encoder" else "diffusion_pytorch_model.bin"
    (folder / part / name).write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    refused(folder, f"{part} has its weights in {name} only, a pickle, which is never opened")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("damage", ["NaN", "cut", "missing", "shape"])
def test_damaged_weights(folder, part, damage):
    path = next((folder / part).glob("*.safetensors"))
    weights = load_file(path)
    name = sorted(weights)[0]
    if damage == "NaN":
        weights[name].view(-1)[0] = math.nan
    elif damage == "missing":
        del weights[name]
    else:
        weights[name] = torch.zeros(*weights[name].shape, 2)
    save_file(weights, path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-8])
    sentence = {
        "NaN": "holds 1 numbers of .* that are NaN or infinite",
        "cut": "is damaged",
        "missing": r"1 weights do not fit its config.json, such as",
        "shape": r"1 weights do not fit its config.json, such as",
    }
    refused(folder, sentence[damage])


@pytest.mark.parametrize(
    ("part", "more"),
    [
        ("unet", {"in_channels": 9}),
        ("unet", {"out_channels": 8}),
        ("unet", {"time_cond_proj_dim": 8}),
        ("unet", {"num_class_embeds": 3}),
        ("unet", {"addition_embed_type": "text", "encoder_hid_dim": None}),
        ("unet", {"cross_attention_dim": 8}),
    ],
)
def test_networks_that_want_something_else(tmp_path, part, more):
    folder = stable(tmp_path, unet=unet(**more))
    field = next(iter(more))
    sentence = {
        "in_channels": "`in_channels`: 9 is not supported .*it also wants an image or a mask",
        "out_channels": "`out_channels`: 8 is not supported",
        "time_cond_proj_dim": "`time_cond_proj_dim`: 8 is not supported .*latent consistency",
        "num_class_embeds": "`num_class_embeds`: 3 is not supported .*classes",
        "addition_embed_type": "`addition_embed_type`: 'text' is not supported",
        "cross_attention_dim": r"reads texts of width 8 .* and the text encoders make them 16 wide",
    }
    refused(folder, sentence[field])


def test_a_distilled_scheduler_is_refused(tmp_path):
    folder = stable(tmp_path, scheduler=LCMScheduler())
    refused(folder, "'LCMScheduler'")


def test_continuous_processes_are_refused(folder):
    (folder / "scheduler" / "scheduler_config.json").write_text(
        json.dumps({"_class_name": "VESchedule", "scale": 1.0, "prediction_type": "epsilon"})
    )
    change(folder / "model_index.json", scheduler=["spurion.diffusion.schedule", "VESchedule"])
    refused(folder, "is of no process in steps")


@pytest.mark.parametrize(
    ("name", "fields", "sentence"),
    [
        ("unet", {"sample_size": None}, "`sample_size` must be one or two whole numbers, got None"),
        ("unet", {"sample_size": [4, 4, 4]}, "`sample_size` must be one or two whole numbers"),
        ("unet", {"sample_size": 10**9}, "a latent must have at most"),
        ("unet", {"layers_per_block": 10**9}, "it has more layers than weights"),
        ("unet", {"transformer_layers_per_block": [[10**9], 1]}, "it has more layers than weights"),
        ("unet", {"block_out_channels": [8] * 9999}, "it has more layers than weights"),
        ("unet", {"addition_time_embed_dim": 10**12}, "it has more layers than weights"),
        ("unet", {"time_embedding_type": "fourier"}, "`time_embedding_type`: 'fourier' is not supported"),
        ("unet", {"norm_num_groups": 3}, "unet is damaged: its network cannot be built"),
        ("unet", {"act_fn": "no such"}, "unet is damaged: its network cannot be built"),
        ("unet", {"_class_name": "UNet2DModel"}, "'UNet2DModel' is not supported; known are UNet2DCondition"),
        ("vae", {"_class_name": "AutoencoderTiny"}, "but the index of its folder says 'AutoencoderKL'"),
        ("vae", {"scaling_factor": 0}, "`scaling_factor` must be a positive number, got 0"),
        ("vae", {"scaling_factor": None}, "`scaling_factor` must be a positive number, got None"),
        ("vae", {"latent_channels": 0}, "`latent_channels` must be a positive whole number, got 0"),
        ("vae", {"latent_channels": 8}, "weights do not fit its config.json"),
        ("text_encoder", {"num_hidden_layers": 10**9}, "`num_hidden_layers` does not fit the weights"),
        ("text_encoder", {"num_attention_heads": 3}, "text_encoder is damaged: its network cannot be built"),
        ("text_encoder", {"hidden_size": 32}, "weights do not fit its config.json"),
        ("text_encoder", {"vocab_size": 10**12}, "weights do not fit its config.json|cannot be built"),
        ("text_encoder", {"hidden_act": "no such"}, "text_encoder is damaged: its network cannot be built"),
    ],
)
def test_configurations_that_do_not_fit(folder, name, fields, sentence, capfd):
    change(folder / name / "config.json", **fields)
    refused(folder, sentence)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"steps_offset": -1, "_class_name": "DDIMScheduler"}, "steps_offset"),
        ({"timestep_spacing": "odd"}, "timestep_spacing"),
        ({"set_alpha_to_one": "yes"}, "set_alpha_to_one"),
    ],
)
def test_walks_that_cannot_be_read(whole_xl, tmp_path, fields, sentence):
    folder = shutil.copytree(whole_xl, tmp_path / "pipeline")
    change(folder / "scheduler" / "scheduler_config.json", **fields)
    change(
        folder / "model_index.json",
        scheduler=["diffusers", fields.get("_class_name", "EulerDiscreteScheduler")],
    )
    refused(folder, sentence)


def test_conditions_of_two_encoders_must_fit(tmp_path):
    tokenizer = build_tokenizer(CAPTIONS, tmp_path / "words", max_length=TOKENS, merges=20)
    second = text_encoder(tokenizer, second=True, projection_dim=6)
    refused(largest(tmp_path, text_encoder_2=second), "unet is damaged: its network cannot be built")


def test_texts_of_two_tokens_are_refused(folder):
    change(folder / "tokenizer" / "tokenizer_config.json", model_max_length=2)
    refused(folder, "its texts have at most 2 tokens, and start and end are two")


def test_what_is_not_run_is_said(folder):
    assert load_pipeline(folder).notes == ()
    change(
        folder / "model_index.json",
        safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"],
        feature_extractor=["transformers", "CLIPFeatureExtractor"],
    )
    assert load_pipeline(folder).notes == ("The safety checker of the pipeline is not run.",)


def test_old_names_of_weights_are_known(folder):
    expected = load_pipeline(folder)
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    former = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    weights = load_file(path)
    for now, then in former.items():
        weights = {name.replace(now, then): value for name, value in weights.items()}
    save_file(weights, path)
    encoder = folder / "text_encoder" / "model.safetensors"
    weights = {
        f"text_model.{name.removeprefix('text_model.')}": value for name, value in load_file(encoder).items()
    }
    weights["text_model.embeddings.position_ids"] = torch.arange(TOKENS).unsqueeze(0)
    save_file(weights, encoder)
    change(folder / "text_encoder" / "config.json", torch_dtype="float16", dtype="float16")
    own = load_pipeline(folder)
    latents = torch.ones(1, *own.shape)
    assert torch.equal(own.decode(latents), expected.decode(latents))
    assert torch.equal(own.encode(["red"])[0].embedding, expected.encode(["red"])[0].embedding)


QUIET = """
import socket, sys
def blocked(*_): raise OSError("no network here")
socket.socket.connect = blocked
sys.modules.update({"torchvision": None, "accelerate": None})
from spurion.prompts import load_pipeline
pipeline = load_pipeline(sys.argv[1])
pipeline.encode(["a " * 99])
pipeline.at("red")(__import__("torch").zeros(1, *pipeline.shape), 5)
"""


def test_nothing_is_said_and_nothing_fetched(whole):
    result = subprocess.run([sys.executable, "-c", QUIET, whole], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_without_transformers_one_sentence_says_what_to_install(whole, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    refused(whole, r"The package `transformers` is needed .*: pip install 'spurion\[prompts\]'")
