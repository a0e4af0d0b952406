"""An examination of prompts: from a model and a table to `prompts.json`, the evidence and images to show.

::

    model, prompts -> readings/*.safetensors            (one a prompt, kept)
                   -> distances/*.safetensors           (where training images are known)
                   -> curvature of some prompts         (if asked for)
                   -> ranks, comparisons, claims -> prompts.json, prompts.csv, gallery.npz
"""

__all__ = ["RESULT_FILE", "Examination", "write_result"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from spurion.audits.checks.rights import credits
from spurion.audits.findings import SourceInfo
from spurion.core.engine import run_tasks
from spurion.core.environment import Crew, environment
from spurion.core.files import remove_killed
from spurion.core.progress import Progress, silent
from spurion.core.store import Store
from spurion.data import ImageSet
from spurion.neighbors import Distance
from spurion.phases.rules import ThresholdInfo
from spurion.prompts.comparing import Known, distances_of, known_images
from spurion.prompts.conclusion import conclude_prompts
from spurion.prompts.config import PromptsConfig
from spurion.prompts.detectors.registry import changed
from spurion.prompts.gallery import GALLERY_FILE, chosen, write_gallery
from spurion.prompts.nearness import ground
from spurion.prompts.pipeline import TextPipeline
from spurion.prompts.readings import Examiner, PromptReadings, ReadingTask, read_prompts
from spurion.prompts.results import PromptReading, PromptsResult
from spurion.prompts.spectra import Spectra, groups_of, spectra
from spurion.prompts.table import PromptTable
from spurion.prompts.written import CSV_FILE, write_prompts_csv

RESULT_FILE = "prompts.json"

More = Callable[[ThresholdInfo | None], dict[str, Any]]


def _nothing_more(thresholds: ThresholdInfo | None) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Examination:
    """The parts of an examination.

    Attributes:
        pipeline: The model.
        table: The prompts.
        train: The training images, or None.
        config: How to measure.
        distance: The distance of copies and repetitions.
        folder: Where readings are kept.
        progress: Called with the stage and how far it is.
    """

    pipeline: TextPipeline
    table: PromptTable
    train: ImageSet | None
    config: PromptsConfig
    distance: Distance
    folder: Path
    progress: Progress = silent

    def result(self, more: More = _nothing_more) -> PromptsResult:
        """Measure everything that is not measured yet, and conclude.

        Arguments:
            more: Makes further fields of the result, or other values of these; given the thresholds.

        Raises:
            ValueError: If the prompts cannot be measured, or `folder` holds readings of another model.
            OSError: If the folder cannot be written or the disk is full.
        """
        pipeline, entries, config = self.pipeline, self.table.entries, self.config
        known = known_images(entries, self.train, pipeline.image_shape)
        examiner = Examiner(
            pipeline, config, draw=known is not None or config.geometry > 0, folder=self._kept
        )
        for kept in (self._kept, self.folder / "distances"):
            remove_killed(kept)
        readings = self._read(examiner)
        distances = thresholds = None
        if known is not None:
            thresholds = ground(known.images.images, self.distance, seed=config.seed)
            distances = distances_of(
                pipeline, examiner, entries, known, self.distance, folder=self.folder / "distances",
                progress=partial(self.progress, "compare"),
            )  # fmt: skip
        found = conclude_prompts(entries, readings, distances, thresholds, config)
        self._show(examiner, found.prompts, known)
        curved = self._curved(examiner, found.prompts)
        train = None if known is None else SourceInfo.of(known.images)
        values: dict[str, Any] = {
            "name": self.table.name,
            "config": config,
            "model": pipeline.name,
            "model_sha256": pipeline.folder_hash,
            "pipeline": pipeline.kind,
            "shape": pipeline.shape,
            "train": train,
            "thresholds": thresholds,
            "detectors": found.detectors,
            "prompts": found.prompts,
            "summaries": found.summaries,
            "comparisons": found.comparisons,
            "halves": found.halves,
            "rises": found.rises,
            "geometry": None if curved is None else curved.geometry,
            "singular": {} if curved is None else curved.singular,
            "evaluations": sum(one.spent for one in readings),
            "claims": (*found.claims, *credits((train,))),
            "environment": self._environment(),
            "notes": pipeline.notes,
        }
        return PromptsResult(**(values | more(thresholds)))

    def _environment(self) -> dict[str, Any]:
        found = environment(Crew(1, torch.get_num_threads(), str(self.pipeline.device)))
        return {**found, "versions": {**found["versions"], "transformers": version("transformers")}}

    def read_apart(self, workers: int, report: Progress) -> None:
        """Read the prompts in several processes, each with one thread; a result then finds the readings.

        Detectors that were registered in this process are not known to others: then nothing is done.

        Arguments:
            workers: How many processes.
            report: Called with the name of a process, the stage and how far it is.

        Raises:
            RuntimeError: If a process died.
        """
        if changed():
            return
        pipeline = self.pipeline
        draw = self.train is not None or any(entry.images for entry in self.table.entries)
        prompts = [entry.prompt for entry in self.table.entries]
        tasks = [
            ReadingTask(
                name=f"part {part + 1}" if workers > 1 else "",
                model=Path(pipeline.name),
                device=str(pipeline.device),
                half=pipeline.question.network.dtype != torch.float32,
                config=self.config,
                draw=draw or self.config.geometry > 0,
                folder=self._kept,
                prompts=tuple(prompts[part::workers]),
            )
            for part in range(min(workers, len(prompts)))
        ]
        for _ in run_tasks(read_prompts, tasks, workers=workers, threads=1, report=report):
            pass

    @property
    def _kept(self) -> Path:
        return self.folder / "readings"

    def _read(self, examiner: Examiner) -> list[PromptReadings]:
        """The readings of every prompt, without their samples, which stay in their files."""
        found, total = [], len(self.table)
        self.progress("read", 0, total)
        for done, entry in enumerate(self.table.entries, start=1):
            one = examiner.read(entry.prompt)
            found.append(replace(one, samples=one.samples[:0].clone()))  # a slice keeps what it is of
            self.progress("read", done, total)
        return found

    def _show(self, examiner: Examiner, prompts: Sequence[PromptReading], known: Known | None) -> None:
        """Keep images of some prompts for the page."""
        if not examiner.draws:
            return
        index = chosen(prompts)
        samples = [self.pipeline.decode(examiner.read(prompts[i].prompt).samples) for i in index]
        own = [None if known is None else known.of(i) for i in index]
        images = [None if one is None else one[0] for one in own]
        write_gallery(self.folder / GALLERY_FILE, index, samples, images)

    def _curved(self, examiner: Examiner, prompts: Sequence[PromptReading]) -> Spectra | None:
        groups = groups_of(prompts, self.config.geometry, seed=self.config.seed)
        if not self.config.geometry or not groups:
            return None
        texts = {name: [prompts[i].prompt for i in members] for name, members in groups.items()}
        samples = {
            name: torch.stack([examiner.read(text).samples[0] for text in group])
            for name, group in texts.items()
        }
        return spectra(
            self.pipeline, texts, samples, seed=self.config.seed, progress=partial(self.progress, "geometry")
        )


def write_result(folder: Path, result: PromptsResult, name: str = RESULT_FILE) -> None:
    """Write the result and its table, and seal them with the images.

    Raises:
        OSError: If the folder cannot be written or the disk is full.
    """
    store = Store(folder, Path(name).stem)
    store.remove()
    write_prompts_csv(folder / CSV_FILE, result)
    shown = [path for path in (folder / CSV_FILE, folder / GALLERY_FILE) if path.exists()]
    store.keep(folder / name, result.to_json(), *shown)
