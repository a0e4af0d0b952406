"""Tiny text-to-image pipelines with random weights, of every kind that is opened, built in a second."""

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from spurion.core.random import generator
from spurion.prompts.extra import quiet_libraries
from spurion.prompts.study.tokenizer import build_tokenizer

CAPTIONS = ("a photo of a red square", "a photo of a blue circle, 12 of them", "it's the digit seven")
TOKENS = 12
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
STABLE = NOISE | {"steps_offset": 1, "set_alpha_to_one": False, "clip_sample": False}


def randomized(network, seed=0, scale=1.0):
    """Weights that make something of everything, in float32, the same for the same seed."""
    random = generator(seed, "tiny", type(network).__name__)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, scale * parameter[0].numel() ** -0.5, generator=random)
            else:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
    return network.eval()


def unet(width=16, **more):
    """A network for latents of shape (4, 4, 8) with cross-attention on both levels."""
    with torch.random.fork_rng(devices=[]):
        network = UNet2DConditionModel(
            **{
                "sample_size": (4, 8),
                "in_channels": 4,
                "out_channels": 4,
                "block_out_channels": (8, 16),
                "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
                "layers_per_block": 1,
                "attention_head_dim": 2,
                "norm_num_groups": 4,
                "cross_attention_dim": width,
                **more,
            }
        )
    return randomized(network)


def kl():
    """An autoencoder that halves images once: latents of shape (4, 4, 8) are images of shape (3, 8, 16)."""
    with torch.random.fork_rng(devices=[]):
        network = AutoencoderKL(
            block_out_channels=(4, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=4,
            norm_num_groups=2,
            sample_size=16,
            scaling_factor=0.18215,
        )
    return randomized(network)


def tiny():
    """The same with the small autoencoder of few layers."""
    with torch.random.fork_rng(devices=[]):
        network = AutoencoderTiny(
            encoder_block_out_channels=(4, 4),
            decoder_block_out_channels=(4, 4),
            num_encoder_blocks=(1, 1),
            num_decoder_blocks=(1, 1),
            latent_channels=4,
        )
    return randomized(network)


def text_encoder(tokenizer, second=False, **more):
    """An encoder of the tokens of a tokenizer, 16 wide."""
    config = CLIPTextConfig(
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "max_position_embeddings": tokenizer.model_max_length,
            "projection_dim": 10,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "hidden_act": "gelu" if second else "quick_gelu",
            **more,
        }
    )
    kind = CLIPTextModelWithProjection if second else CLIPTextModel
    with torch.random.fork_rng(devices=[]):
        return randomized(kind(config), seed=int(second))


def stable(folder, **parts):
    """A `StableDiffusionPipeline`, in any part another one if it is given, and its folder."""
    with quiet_libraries():
        tokenizer = build_tokenizer(CAPTIONS, folder / "made-tokenizer", max_length=TOKENS, merges=20)
        pipeline = StableDiffusionPipeline(
            **{
                "vae": kl(),
                "unet": unet(),
                "text_encoder": text_encoder(tokenizer),
                "tokenizer": tokenizer,
                "scheduler": PNDMScheduler(**(NOISE | {"steps_offset": 1, "skip_prk_steps": True})),
                "safety_checker": None,
                "feature_extractor": None,
                "requires_safety_checker": False,
                **parts,
            }
        )
    return saved(pipeline, folder / "pipeline")


def second(folder, **parts):
    """A Stable Diffusion 2: v prediction, linear projections."""
    scheduler = DDIMScheduler(**STABLE, prediction_type="v_prediction")
    return stable(folder, **{"scheduler": scheduler, "unet": unet(use_linear_projection=True), **parts})


def largest(folder, **parts):
    """A `StableDiffusionXLPipeline`."""
    with quiet_libraries():
        tokenizer = build_tokenizer(CAPTIONS, folder / "made-tokenizer", max_length=TOKENS, merges=20)
        pipeline = StableDiffusionXLPipeline(
            **{
                "vae": kl(),
                "unet": unet(
                    32,
                    addition_embed_type="text_time",
                    addition_time_embed_dim=4,
                    projection_class_embeddings_input_dim=10 + 6 * 4,
                    transformer_layers_per_block=(1, 2),
                    use_linear_projection=True,
                ),
                "text_encoder": text_encoder(tokenizer),
                "text_encoder_2": text_encoder(tokenizer, second=True),
                "tokenizer": tokenizer,
                "tokenizer_2": tokenizer,
                "scheduler": EulerDiscreteScheduler(**NOISE, timestep_spacing="leading", steps_offset=1),
                "add_watermarker": False,
                **parts,
            }
        )
    return saved(pipeline, folder / "pipeline")


def saved(pipeline, folder):
    with quiet_libraries():
        pipeline.set_progress_bar_config(disable=True)
        pipeline.save_pretrained(folder)
    return folder


KINDS = {
    "sd1": stable,
    "sd2": second,
    "sdxl": largest,
    "tiny autoencoder": lambda folder: stable(folder, vae=tiny()),
}
