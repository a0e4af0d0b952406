"""Pipelines against diffusers' own: encodings, times and images from the same latents."""

import itertools

import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, PNDMScheduler

from prompts.tiny_pipelines import KINDS, NOISE, TOKENS, largest, second, stable
from spurion.core.random import generator
from spurion.prompts import load_pipeline, walk_down
from spurion.prompts.extra import quiet_libraries

PROMPT = "a photo of a red square"


@pytest.fixture(scope="module", params=KINDS)
def both(request, tmp_path_factory):
    """A pipeline of ours and the same of diffusers, with its DDIM scheduler."""
    folder = KINDS[request.param](tmp_path_factory.mktemp("tiny"))
    return load_pipeline(folder), theirs(folder)


def theirs(folder):
    with quiet_libraries():
        pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
        pipeline.set_progress_bar_config(disable=True)
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    return pipeline


def images(pipeline, latents, guidance, negative, steps, shape):
    with quiet_libraries(), torch.random.fork_rng(devices=[]):
        return pipeline(
            PROMPT,
            height=shape[1],
            width=shape[2],
            num_images_per_prompt=len(latents),
            latents=latents,
            guidance_scale=guidance,
            negative_prompt=negative or None,
            num_inference_steps=steps,
            output_type="pt",
        ).images


@pytest.mark.parametrize(("guidance", "negative"), [(7.5, ""), (1, ""), (7.5, "it's a blue circle")])
def test_images_are_those_of_diffusers(both, guidance, negative):
    ours, other = both
    latents = torch.randn(2, *ours.shape, generator=generator(0, "latents"))
    denoiser = ours.at(PROMPT, guidance, negative)
    own = ours.decode(walk_down(denoiser, latents, ours.walk(5)))
    expected = images(other, latents, guidance, negative, 5, ours.image_shape)
    assert own.shape == (2, *ours.image_shape)
    assert (own.abs() < 1).float().mean() > 0.1  # some are not clipped, or nothing would be compared
    # Rounding of float32, of steps that amplify it by about ten: measured 5e-6 at most.
    assert torch.allclose(own / 2 + 0.5, expected, rtol=0, atol=1e-5)


def test_encodings_are_those_of_diffusers(both):
    ours, other = both
    for prompt in (PROMPT, "", "A photo  of a Zebra, 120 of them and more than there is room for"):
        own = ours.encode([prompt])[0]
        with quiet_libraries():
            encoded = other.encode_prompt(
                prompt=prompt, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True
            )
        none = ours.at(PROMPT).negative
        assert torch.equal(own.embedding, encoded[0][0])
        assert torch.equal(none.embedding, encoded[1][0])
        if len(encoded) == 4:
            assert torch.equal(own.pooled, encoded[2][0])
            assert torch.equal(none.pooled, encoded[3][0])
            assert own.extra.tolist() == [8, 16, 0, 0, 8, 16]
        else:
            assert own.pooled is None
            assert own.extra is None


def test_padding_is_masked_where_the_encoder_says_so(tmp_path):
    from prompts.tiny_pipelines import CAPTIONS, build_tokenizer, text_encoder

    tokenizer = build_tokenizer(CAPTIONS, tmp_path / "tokenizer", max_length=TOKENS, merges=20)
    folder = stable(tmp_path, text_encoder=text_encoder(tokenizer, use_attention_mask=True))
    own = load_pipeline(folder).encode(["a"])[0].embedding
    unmasked = load_pipeline(stable(tmp_path / "unmasked")).encode(["a"])[0].embedding
    with quiet_libraries():
        expected = theirs(folder).encode_prompt("a", "cpu", 1, False)[0][0]
    assert torch.equal(own, expected)
    assert not torch.allclose(own, unmasked, atol=1e-3)


def test_an_encoded_empty_negative_prompt_is_no_condition_zero(tmp_path):
    pipeline = load_pipeline(largest(tmp_path))
    assert pipeline.at(PROMPT).negative.embedding.abs().max() == 0
    encoded = pipeline.encode([""])[0]
    assert pipeline.at(PROMPT, negative=encoded).negative is encoded
    kept = load_pipeline(largest(tmp_path / "kept", force_zeros_for_empty_prompt=False))
    assert torch.equal(kept.at(PROMPT).negative.embedding, encoded.embedding)


def test_what_a_prompt_says_of_itself(both):
    ours, _ = both
    own = ours.encode(["A photo of 12 Zebras é", "", " ", "photo " * 30])
    assert own[0].tokens[:5] == ("a", "photo", "of", "1", "2")
    assert own[0].places == tuple(range(1, len(own[0].tokens) + 1))
    assert own[0].end == len(own[0].tokens) + 1
    assert (own[1].tokens, own[1].places, own[1].end, own[1].cut) == ((), (), 1, "")
    assert own[2].tokens == ()
    assert own[3].tokens == ("photo",) * (TOKENS - 2)
    assert own[3].end == TOKENS - 1
    assert own[3].cut.split() == ["photo"] * (30 - TOKENS + 2)
    assert ours.max_tokens == TOKENS
    assert ours.encode([]) == []


@pytest.mark.parametrize("offset", [0, 1])
def test_the_offset_is_corrected_as_the_pipeline_does(tmp_path, offset):
    scheduler = PNDMScheduler(**NOISE, steps_offset=offset, skip_prk_steps=True)
    folder = stable(tmp_path, scheduler=scheduler)
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(path.read_text().replace('"steps_offset": 1', f'"steps_offset": {offset}'))
    other = theirs(folder).scheduler
    other.set_timesteps(4)
    assert list(load_pipeline(folder).walk(4).times) == other.timesteps.tolist() == [751, 501, 251, 1]


def test_latents_of_images_are_those_of_the_autoencoder(both):
    ours, other = both
    random = torch.rand(3, *ours.image_shape, generator=generator(0, "images")) * 2 - 1
    with torch.no_grad():
        encoded = other.vae.encode(random)
    mean = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mean
    own = ours.encode_images(random)
    assert own.shape == (3, *ours.shape)
    assert torch.allclose(own, mean * other.vae.config.scaling_factor, rtol=1e-5, atol=1e-6)
    assert torch.equal(own, ours.encode_images(random))
    assert ours.encode_images(random[:0]).shape == (0, *ours.shape)
    assert ours.decode(own[:0]).shape == (0, *ours.image_shape)


def test_latents_with_a_mean_are_shifted(tmp_path):
    from prompts.tiny_pipelines import kl

    vae = kl()
    vae.register_to_config(latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[1.5, 0.5, 2.0, 1.0])
    folder = largest(tmp_path, vae=vae)
    ours = load_pipeline(folder)
    latents = torch.randn(1, *ours.shape, generator=generator(0, "latents"))
    own = ours.decode(walk_down(ours.at(PROMPT), latents, ours.walk(3)))
    expected = images(theirs(folder), latents, 7.5, "", 3, ours.image_shape)
    assert torch.allclose(own / 2 + 0.5, expected, rtol=0, atol=1e-5)
    again = torch.tensor(vae.config.latents_std).view(1, 4, 1, 1)
    image = torch.zeros(1, *ours.image_shape)
    with torch.no_grad():
        mean = vae.encode(image).latent_dist.mean
    shift = torch.tensor(vae.config.latents_mean).view(1, 4, 1, 1)
    assert torch.allclose(ours.encode_images(image), (mean - shift) * 0.18215 / again, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [stable, second, largest])
def test_half_precision_runs_and_answers_in_float32(tmp_path, kind):
    folder = kind(tmp_path)
    half, full = load_pipeline(folder, half=True), load_pipeline(folder)
    x_t = torch.randn(2, *full.shape, generator=generator(0, "latents"))
    own, expected = half.at(PROMPT)(x_t, 500), full.at(PROMPT)(x_t, 500)
    assert own.dtype == torch.float32
    assert torch.equal(half.at(PROMPT).conditioning.embedding, full.at(PROMPT).conditioning.embedding)
    # bfloat16 has 8 bits, and guidance of 7.5 multiplies their errors.
    assert (own - expected).norm() < 0.1 * expected.norm()
    assert not torch.equal(own, expected)
    assert half.decode(walk_down(half.at(PROMPT), x_t, half.walk(2))).isfinite().all()


def test_variants_and_shards_are_read(tmp_path):
    folder = stable(tmp_path)
    expected = load_pipeline(folder).at(PROMPT)
    x_t = torch.randn(1, *expected.shape, generator=generator(0, "latents"))
    for part, name in itertools.product(
        ("unet", "vae", "text_encoder"), ("diffusion_pytorch_model", "model")
    ):
        path = folder / part / f"{name}.safetensors"
        if path.exists():
            path.rename(folder / part / f"{name}.fp16.safetensors")
    assert torch.equal(load_pipeline(folder).at(PROMPT)(x_t, 500), expected(x_t, 500))
    with quiet_libraries():
        theirs_unet = DiffusionPipeline.from_pretrained(folder, variant="fp16", local_files_only=True).unet
        for path in (folder / "unet").glob("*.safetensors"):
            path.unlink()
        theirs_unet.save_pretrained(folder / "unet", max_shard_size="40KB")
    assert len(list((folder / "unet").glob("*-of-*.safetensors"))) > 1
    assert torch.equal(load_pipeline(folder).at(PROMPT)(x_t, 500), expected(x_t, 500))
