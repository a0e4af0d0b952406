"""The model of the study as a folder that diffusers' `StableDiffusionPipeline` opens.

::

    model_index.json
    unet/  text_encoder/  vae/   a configuration and weights (safetensors) each
    tokenizer/                   written by `spurion.prompts.study.tokenizer`, before
    scheduler/                   deterministic DDIM, its steps spaced as Stable Diffusion's
"""

__all__ = ["TOKENIZER", "save_planted"]

from pathlib import Path
from typing import Any

import diffusers

from spurion.core.files import write_json
from spurion.diffusion.denoisers.network import Prediction
from spurion.diffusion.model_index import INDEX_FILE
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.scheduler_file import SCHEDULER_FILE
from spurion.prompts.extra import quiet_libraries
from spurion.prompts.study.autoencoder import lossless_autoencoder
from spurion.prompts.study.network import CaptionedNetwork

TOKENIZER = "tokenizer"
"""The folder of the tokenizer in that of the model."""

_PARTS = {
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderTiny"],
    **{part: [None, None] for part in ("feature_extractor", "image_encoder", "safety_checker")},
}


def save_planted(
    network: CaptionedNetwork, schedule: DDPMSchedule, prediction: Prediction, folder: Path
) -> None:
    """Write all parts but the tokenizer.

    Arguments:
        network: The trained network.
        schedule: Its noise schedule.
        prediction: What it predicts.
        folder: The folder of the model.

    Raises:
        OSError: If the folder cannot be written or the disk is full.
    """
    channels = int(network.unet.config["in_channels"])
    network = network.cpu()
    with quiet_libraries():
        network.unet.save_pretrained(folder / "unet")
        network.text_encoder.save_pretrained(folder / "text_encoder")
        lossless_autoencoder(channels).save_pretrained(folder / "vae")
    write_json(folder / "scheduler" / SCHEDULER_FILE, _scheduler(schedule, prediction))
    index = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": diffusers.__version__, **_PARTS}
    write_json(folder / INDEX_FILE, {**index, "requires_safety_checker": False})


def _scheduler(schedule: DDPMSchedule, prediction: Prediction) -> dict[str, Any]:
    return {
        "_class_name": "DDIMScheduler",
        "_diffusers_version": diffusers.__version__,
        "num_train_timesteps": schedule.steps,
        "beta_start": schedule.beta_start,
        "beta_end": schedule.beta_end,
        "beta_schedule": schedule.beta_schedule,
        "prediction_type": prediction,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "timestep_spacing": "leading",
    }
