"""The verbs `train` and `sample`: one model, and samples of a model."""

__all__ = ["Sampler", "Steps", "model_folder", "sample", "steps_given", "train"]

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spurion.cli.options import (
    AllowDownload,
    ComputeDevice,
    Device,
    DeviceOption,
    ModelFolder,
    Overrides,
    Seed,
    with_options,
)
from spurion.cli.paths import check_paths, check_sources
from spurion.cli.show import progress_shown, say, show_source

if TYPE_CHECKING:
    from spurion.data import ImageSet


class Sampler(StrEnum):
    """How to sample."""

    ddpm = "ddpm"
    ddim = "ddim"


class Mitigation(StrEnum):
    """How not to draw copies of training images."""

    tokens = "tokens"
    noise = "noise"


Steps = Annotated[
    int | None,
    typer.Option("--steps", min=1, help="Model calls for each sample; 1000, or all that the model has."),
]


def train(
    source: Annotated[str, typer.Argument(metavar="SRC", help="The images; see docs/commands.md.")],
    size: Annotated[int, typer.Option("--size", metavar="K", min=1, help="Number of training images.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write.")],
    recipe: Annotated[
        str,
        typer.Option("--recipe", metavar="RECIPE|FILE.yaml", help="Source of network and training."),
    ] = "digits",
    overrides: Overrides = None,
    seed: Seed = None,
    device: DeviceOption = None,
    allow_download: AllowDownload = False,
) -> None:
    """Train one diffusion model on K images of a source.

    The same recipe, source, size and seed give the model of a study's point,
    up to rounding. DIR gets the model, the images it was trained on
    (train.npz), the loss log and the configuration. Given again, it continues
    where it was stopped.

    Example: spurion train digits --size 64 --out runs/digits-64
    """
    check_sources(source)
    from spurion.studies.folder import RunFolder
    from spurion.studies.point import PointTask, point_data, train_point
    from spurion.studies.recipes import named_config

    own = {"data.source": source, "train_sizes": [size], "seed": seed}
    config = named_config(recipe, with_options(overrides, own), device.value if device else None)
    pool, _ = point_data(config, allow_download)
    config.sizes(len(pool))
    images = pool.subset(range(size))
    with RunFolder(out).opened(config):
        _write_images(out / "train.npz", images)
        with progress_shown() as shown:
            train_point(PointTask(out, config, size), images.images, partial(shown, "", "train"))
    show_source("Source", pool)
    say(f"Model: {out / 'model'}")
    say(f"Training images: {out / 'train.npz'}")


def sample(
    model: ModelFolder,
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, help="Number of samples.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.npz", help="The file to write.")],
    sampler: Annotated[
        Sampler | None,
        typer.Option("--sampler", help="The kind of sampler; ddpm, with --prompt ddim, if not given."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=1,
            help="Model calls for each sample; 1000, or all that the model has; with --prompt 50.",
        ),
    ] = None,
    eta: Annotated[
        float, typer.Option("--eta", min=0, max=1, help="Noise of ddim; 0 is deterministic.")
    ] = 0.0,
    clip: Annotated[
        bool | None,
        typer.Option(
            "--clip/--no-clip", help="Clip the denoised image to the range of images; latents never are."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", min=1, help="Samples made together; 512, with --prompt 8."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the whole set.")] = 0,
    device: ComputeDevice = Device.auto,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TEXT", help="The text, for a text-to-image model.")
    ] = None,
    negative: Annotated[
        str | None, typer.Option("--negative", metavar="TEXT", help="What guidance leads away from.")
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option("--guidance", help="1 is the prompt alone, 0 no prompt; 7.5 if not given."),
    ] = None,
    latents: Annotated[bool, typer.Option("--latents", help="Keep latents, and decode no images.")] = False,
    half: Annotated[
        bool, typer.Option("--half", help="Let a text-to-image model compute in half precision.")
    ] = False,
    mitigate: Annotated[
        Mitigation | None,
        typer.Option(
            "--mitigate",
            help="Draw no copies of a memorized prompt: leave out its heaviest words (tokens), or choose "
            "initial noises at which it is not sharp (noise).",
        ),
    ] = None,
) -> None:
    """Draw samples from a model folder of Spurion or diffusers.

    Sample i depends on the seed and i alone. Given again, it continues where it was stopped. A text-to-image
    model needs a prompt.

    Example: spurion sample runs/digits-64 --count 2000 --steps 250 --out runs/digits-64/samples.npz
    """
    from spurion.cli.prompt_samples import PromptOptions, sample_prompt

    asked = PromptOptions(prompt, negative, guidance, latents, half, mitigate and mitigate.value)
    asked.check()
    check_paths(model)
    if prompt is not None:
        sampling = {"steps": steps, "batch_size": batch_size}
        foreign = {"--sampler ddpm": sampler is Sampler.ddpm, "--eta": eta > 0, "--clip": clip is True}
        sample_prompt(
            model_folder(model),
            asked,
            count,
            out,
            seed=seed,
            device=device.value,
            sampling=sampling,
            foreign=foreign,
        )
        return
    kind = (sampler or Sampler.ddpm).value
    values = {"kind": kind, "eta": eta, "clip": clip is not False, "batch_size": batch_size or 512}
    _sample_pixels(model_folder(model), count, values | steps_given(steps), out, seed, device)


def _sample_pixels(
    folder: Path, count: int, values: dict[str, Any], out: Path, seed: int, device: Device
) -> None:
    from spurion.core.config import build_config
    from spurion.diffusion.device import choose_device
    from spurion.diffusion.folder import load_denoiser
    from spurion.diffusion.samplers import SamplerConfig
    from spurion.diffusion.sampleset import sample_to_file

    config = build_config(SamplerConfig, values)
    denoiser = load_denoiser(folder, device=choose_device(device.value))
    with progress_shown() as shown:
        sample_to_file(denoiser, count, config, seed=seed, path=out, progress=partial(shown, "", "sample"))
    say(f"{count} samples: {out}")


def steps_given(steps: int | None) -> dict[str, int]:
    """The field of a sampler's configuration, which is left out where no number was given."""
    return {} if steps is None else {"steps": steps}


def _write_images(path: Path, images: "ImageSet") -> None:
    from spurion.core.tensors import save_arrays

    save_arrays(path, {"samples": images.images.numpy()})


def model_folder(folder: Path) -> Path:
    """The folder of a model: the one given, or the folder `model` in it."""
    return folder / "model" if (folder / "model").is_dir() else folder
