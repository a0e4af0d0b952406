"""The readings of one prompt: measured once, kept in a file of its own, and read again from there.

A file holds what the detectors read for each seed and, where samples were drawn, these in latent space. It is
named by all that decides it, the prompt, the model and the way to measure: a killed examination goes on with
the first prompt that has none, and a table in another order, with other labels or more prompts finds those
that it shares with the last.
"""

__all__ = ["Examiner", "PromptReadings", "ReadingTask", "read_prompts", "subject_of"]

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from spurion.core.failures import FAILURES, one_sentence
from spurion.core.progress import Progress
from spurion.core.store import KeyedFile
from spurion.core.tensors import Damaged, Tensors, tell
from spurion.prompts.config import PromptsConfig
from spurion.prompts.detectors import DETECTORS, Reading
from spurion.prompts.noises import initial_noises
from spurion.prompts.pipeline import TextPipeline, load_pipeline
from spurion.prompts.subject import Seeds, Subject, Text
from spurion.prompts.text import Conditioning

_FORMAT = 1


@dataclass(frozen=True)
class PromptReadings:
    """What was read of one prompt.

    Attributes:
        values: By detector, one value a seed, float64; all NaN where it failed.
        evaluations: By detector, network evaluations a seed that it needs by itself.
        spent: Network evaluations of the prompt.
        tokens: Weight of each token, by the detectors that have one.
        samples: Samples in latent space, with shape (m, *shape); m = 0 where none were drawn.
        cut: The end of the prompt that did not fit.
        notes: What to know of a reading: a fallback, or why it failed.
    """

    values: dict[str, Float64[Tensor, " m"]]
    evaluations: dict[str, float]
    spent: float
    tokens: tuple[tuple[str, float], ...]
    samples: Tensor
    cut: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ReadingTask:
    """Prompts for one process to read.

    Attributes:
        name: What progress calls it.
        model: The folder of the pipeline.
        device: Where it computes.
        half: Whether its network computes in half precision.
        config: How to measure.
        draw: Whether samples are drawn.
        folder: Where readings are kept.
        prompts: The prompts.
    """

    name: str
    model: Path
    device: str
    half: bool
    config: PromptsConfig
    draw: bool
    folder: Path
    prompts: tuple[str, ...]


def read_prompts(task: ReadingTask, report: Progress) -> int:
    """Read the prompts of a task into their files; the number of them."""
    pipeline = load_pipeline(task.model, device=task.device, half=task.half)
    examiner = Examiner(pipeline, task.config, draw=task.draw, folder=task.folder)
    for done, prompt in enumerate(task.prompts, start=1):
        examiner.read(prompt)
        report(task.name, "read", done, len(task.prompts))
    return len(task.prompts)


class Examiner:
    """Measures prompts of one model.

    Arguments:
        pipeline: The model.
        config: How to measure.
        draw: Whether samples are drawn even if no detector needs them.
        folder: Where readings are kept; None for nowhere.
    """

    def __init__(
        self, pipeline: TextPipeline, config: PromptsConfig, *, draw: bool, folder: Path | None
    ) -> None:
        self._pipeline, self._config, self._folder = pipeline, config, folder
        self._detectors = [DETECTORS[name] for name in config.detectors]
        self.draws = draw or any("path" in detector.needs for detector in self._detectors)
        noises = initial_noises(pipeline.shape, config.seeds, config.seed).to(pipeline.device)
        self._seeds = Seeds(pipeline.at("", 0.0, config.negative), noises, pipeline.walk(config.steps))

    def read(self, prompt: str) -> PromptReadings:
        """Measure a prompt, or read again what was measured.

        Raises:
            ValueError: If a file of the folder is of another examination.
            OSError: If the folder cannot be written or the disk is full.
        """
        if self._folder is None:
            return self._measured(prompt)
        key = self.key(prompt)
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
        file = KeyedFile(
            self._folder / f"{name}.safetensors",
            "reading",
            "holds readings of another model or by other settings",
            "choose another `--out`",
        )
        try:
            known = file.load(key, _unpacked)
        except Damaged as error:
            tell(error, "its prompt is measured again")
            known = None
        if known is None:
            known = self._measured(prompt)
            tensors, facts = _packed(known)
            file.save(tensors, key, **facts)
        return known

    def key(self, prompt: str) -> dict[str, Any]:
        """Everything that decides the readings of a prompt."""
        config = self._config
        return {
            "format": _FORMAT,
            "model": self._pipeline.folder_hash,
            "dtype": str(self._pipeline.question.network.dtype),
            "prompt": prompt,
            "detectors": list(config.detectors),
            "seeds": config.seeds,
            "seed": config.seed,
            "steps": config.steps,
            "guidance": config.guidance,
            "negative": config.negative,
            "samples": self.draws,
        }

    def _measured(self, prompt: str) -> PromptReadings:
        subject, cut = self._subject(prompt)
        values, evaluations, notes = {}, {}, []
        tokens: tuple[tuple[str, float], ...] = ()
        for detector in self._detectors:
            try:
                reading = detector(subject)
            except FAILURES as error:
                notes.append(f"{detector.name} was not measured: {one_sentence(error)}")
                unknown = torch.full((self._config.seeds,), torch.nan, dtype=torch.float64)
                reading = Reading(unknown, 0.0, {})
            else:
                evaluations[detector.name] = float(reading.evaluations)
                notes += [f"{detector.name}: {reading.note}"] if reading.note else []
            values[detector.name] = reading.values.double().cpu()
            if subject.text is not None and "tokens" in reading.detail:
                tokens = tuple(zip(subject.text.tokens, reading.detail["tokens"], strict=True))
        samples = subject.path.samples if self.draws else torch.empty(0, *self._pipeline.shape)
        return PromptReadings(
            values,
            evaluations,
            subject.spent * self._config.seeds,
            tokens,
            samples.float().cpu(),
            cut,
            tuple(notes),
        )

    def _subject(self, prompt: str) -> tuple[Subject, str]:
        conditioning = self._pipeline.encode([prompt])[0]
        return subject_of(self._pipeline, conditioning, self._seeds, self._config), conditioning.cut


def subject_of(
    pipeline: TextPipeline, conditioning: Conditioning, seeds: Seeds, config: PromptsConfig
) -> Subject:
    """A prompt as detectors look at it.

    Arguments:
        pipeline: The model.
        conditioning: The encoded prompt.
        seeds: The initial noises.
        config: The guidance and the negative prompt of samples.
    """
    text = Text(
        tokens=conditioning.tokens,
        places=conditioning.places,
        embedding=conditioning.embedding,
        at=lambda embedding: pipeline.at(replace(conditioning, embedding=embedding), 1.0),
    )
    return Subject(
        pipeline.at(conditioning, 1.0, config.negative),
        seeds,
        guidance=config.guidance,
        text=text,
        attention=lambda x_t, t: pipeline.attention(conditioning, x_t, t),
        end=conditioning.end,
    )


def _packed(readings: PromptReadings) -> tuple[Tensors, dict[str, Any]]:
    tensors = {f"value {name}": values for name, values in readings.values.items()}
    facts = {
        "evaluations": readings.evaluations,
        "spent": readings.spent,
        "tokens": json.dumps(readings.tokens),
        "cut": readings.cut,
        "notes": list(readings.notes),
    }
    return {"samples": readings.samples, **tensors}, facts


def _unpacked(tensors: Tensors, facts: dict[str, Any]) -> PromptReadings:
    values = {name.removeprefix("value "): one for name, one in tensors.items() if name != "samples"}
    return PromptReadings(
        values=values,
        evaluations=dict(facts["evaluations"]),
        spent=float(facts["spent"]),
        tokens=tuple((str(token), float(weight)) for token, weight in json.loads(facts["tokens"])),
        samples=tensors["samples"],
        cut=str(facts["cut"]),
        notes=tuple(facts["notes"]),
    )
