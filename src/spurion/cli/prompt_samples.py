"""Samples of a prompt: the part of the verb `sample` that is about text-to-image models."""

__all__ = ["PromptOptions", "sample_prompt"]

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spurion.cli.show import progress_shown, say

if TYPE_CHECKING:
    from spurion.prompts.pipeline import TextPipeline
    from spurion.prompts.samples import Noises, PromptSampling

CUT = "Note: The {what} is longer than the model's {most} tokens; cut was: {cut}"


@dataclass(frozen=True)
class PromptOptions:
    """What is asked of a text-to-image model.

    Attributes:
        prompt: The prompt; None: the model has none.
        negative: The negative prompt; None if it was not given.
        guidance: The guidance; None if it was not given.
        latents: Whether latents are kept, not images.
        half: Whether the network computes in half precision.
        mitigate: How not to draw copies of training images, "tokens" or "noise"; None: not at all.
    """

    prompt: str | None
    negative: str | None
    guidance: float | None
    latents: bool
    half: bool
    mitigate: str | None = None

    def check(self) -> None:
        """Refuse options without the prompt that they are about.

        Raises:
            ValueError: If there are some.
        """
        given = {
            "--negative": self.negative is not None,
            "--guidance": self.guidance is not None,
            "--latents": self.latents,
            "--half": self.half,
            "--mitigate": self.mitigate is not None,
        }
        for option, here in given.items():
            if here and self.prompt is None:
                raise ValueError(f"`{option}` is about the samples of a prompt; give `--prompt` as well.")


def sample_prompt(
    folder: Path,
    asked: PromptOptions,
    count: int,
    out: Path,
    *,
    seed: int,
    device: str,
    sampling: Mapping[str, int | None],
    foreign: Mapping[str, bool],
) -> None:
    """Draw samples of a prompt.

    Arguments:
        folder: The folder of the pipeline.
        asked: What is asked of it.
        count: How many samples.
        out: The file to write.
        seed: The seed of the set.
        device: Where to compute.
        sampling: Fields of `PromptSampling`; None where nothing was given.
        foreign: Options of other models' samplers, and whether they were given.

    Raises:
        ValueError: If such an option was given, or as `load_pipeline` and `samples_to_file`.
    """
    from spurion.core.config import build_config
    from spurion.diffusion.device import choose_device
    from spurion.prompts.pipeline import load_pipeline
    from spurion.prompts.samples import PromptSampling

    for option, given in foreign.items():
        if given:
            raise ValueError(
                f"`{option}` is not for samples of a prompt, which follow deterministic DDIM without "
                "clipping latents; leave it out."
            )
    given_fields = {name: value for name, value in sampling.items() if value is not None}
    config = build_config(PromptSampling, given_fields | {"latents": asked.latents})
    pipeline = load_pipeline(folder, device=choose_device(device), half=asked.half)  # type: ignore[arg-type]
    for note in pipeline.notes:
        say(f"Note: {note}", err=True)
    _draw(pipeline, asked, count, out, config, seed)
    say(f"{count} {'latents' if asked.latents else 'samples'}: {out}")


def _draw(
    pipeline: "TextPipeline", asked: PromptOptions, count: int, out: Path, config: "PromptSampling", seed: int
) -> None:
    """Draw the samples, and say what of the prompt was cut or left out."""
    from spurion.prompts.samples import samples_to_file

    guidance = 7.5 if asked.guidance is None else asked.guidance
    prompt, noises = _mitigated(pipeline, asked, config.steps, guidance, seed)
    denoiser = pipeline.at(prompt, guidance, asked.negative or "")
    for what, one in (("prompt", denoiser.conditioning), ("negative prompt", denoiser.negative)):
        if one is not None and one.cut:
            say(CUT.format(what=what, most=pipeline.max_tokens, cut=one.cut), err=True)
    with progress_shown() as shown:
        tick = partial(shown, "", "sample")
        samples_to_file(pipeline, denoiser, count, config, seed=seed, path=out, noises=noises, progress=tick)


def _mitigated(
    pipeline: "TextPipeline", asked: PromptOptions, steps: int, guidance: float, seed: int
) -> "tuple[str, tuple[str, Noises] | None]":
    """The prompt that is sampled, and initial noises other than the usual ones."""
    from spurion.core.config import build_config
    from spurion.prompts.config import PromptsConfig
    from spurion.prompts.mitigation import CANDIDATES, calm_source, fewer_words
    from spurion.prompts.noises import initial_noises
    from spurion.prompts.subject import Seeds

    prompt = asked.prompt or ""
    if asked.mitigate is None:
        return prompt, None
    negative = asked.negative or ""
    values = {"guidance": guidance, "steps": steps, "seed": seed, "negative": negative}
    config = build_config(PromptsConfig, values)
    if asked.mitigate == "noise":
        source = calm_source(pipeline, prompt, config)
        return prompt, (
            f"least sharp of {CANDIDATES} for: {prompt}",
            lambda members: source(members).noises,
        )
    noises = initial_noises(pipeline.shape, config.seeds, seed)
    seeds = Seeds(pipeline.at("", 0.0, negative), noises, pipeline.walk(steps))
    less = fewer_words(pipeline, prompt, seeds, config)
    before, after = less.pulls[0], less.pulls[-1]
    left_out = ", ".join(less.words) or "nothing"
    say(f"Left out: {left_out}; the pull of the prompt fell from {before:.3g} to {after:.3g}.", err=True)
    return less.prompt, None
