"""The folder of a text-to-image pipeline: what its index names, where the parts lie, and one hash of all.

Two kinds of pipelines of diffusers are opened, by the class that the index names: `StableDiffusionPipeline`
(one text encoder) and `StableDiffusionXLPipeline` (two). Any other is refused by its name. Weights are read
from safetensors only; the safety checker, and what prepares images for it, are not run.
"""

__all__ = ["PIPELINES", "PipelineFolder", "find_pipeline", "part_weights", "pipeline_class", "pipeline_hash"]

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spurion.core.files import read_json, visible
from spurion.diffusion.model_index import INDEX_FILE
from spurion.diffusion.unsupported import unsupported
from spurion.diffusion.weights_file import find_weights

_PARTS = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL", "AutoencoderTiny"),
    "scheduler": (),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
    "text_encoder": ("CLIPTextModel",),
}
_SECOND = {
    "tokenizer_2": ("CLIPTokenizer", "CLIPTokenizerFast"),
    "text_encoder_2": ("CLIPTextModelWithProjection",),
}
PIPELINES: dict[str, dict[str, tuple[str, ...]]] = {
    "StableDiffusionPipeline": _PARTS,
    "StableDiffusionXLPipeline": _PARTS | _SECOND,
}
"""The parts that each pipeline must have, and the classes they may be of; any, where none is named."""

_NOT_RUN = {
    "safety_checker": "The safety checker of the pipeline is not run.",
    "feature_extractor": "",
    "image_encoder": "The image encoder of the pipeline is not run, as prompts are texts.",
}
"""Parts that may be there, and what is said of them."""

_WITHOUT_PROMPTS = ("DDPMPipeline", "DDIMPipeline", "PNDMPipeline", "NetworkDenoiser")
_PICKLES = ("*.bin", "*.ckpt", "*.pt", "*.pth")


@dataclass(frozen=True)
class PipelineFolder:
    """A text-to-image pipeline on disk.

    Attributes:
        path: The folder.
        kind: The class of the pipeline.
        classes: The class of every part that is used.
        zeros_for_empty: Whether no negative prompt is the embedding zero, not that of an empty text.
        notes: What is not run, in sentences.
    """

    path: Path
    kind: str
    classes: dict[str, str]
    zeros_for_empty: bool
    notes: tuple[str, ...]

    @property
    def two_encoders(self) -> bool:
        """Whether there are two text encoders, and sizes among the conditions."""
        return self.kind == "StableDiffusionXLPipeline"


def pipeline_class(folder: Path) -> str | None:
    """The class that the index of a model folder names; None without an index, or if it names none.

    Raises:
        ValueError: If the index is no JSON.
    """
    path = folder / INDEX_FILE
    values = read_json(path) if path.is_file() else None
    name = values.get("_class_name") if isinstance(values, dict) else None
    return name if isinstance(name, str) else None


def find_pipeline(folder: Path) -> PipelineFolder:
    """Read the index of a text-to-image pipeline.

    Raises:
        ValueError: If there is no such folder, it holds another kind of model, or a part is missing or of
            another class.
    """
    path = folder / INDEX_FILE
    if (folder / "denoiser.json").is_file() or ((folder / "config.json").is_file() and not path.is_file()):
        raise _no_text(folder, "a single denoiser")
    if not path.is_file():
        raise ValueError(f"{folder} is no folder of a text-to-image pipeline: it has no {INDEX_FILE}.")
    values = read_json(path)
    values = values if isinstance(values, dict) else {}
    kind = values.get("_class_name")
    if isinstance(kind, str) and kind in _WITHOUT_PROMPTS:
        raise _no_text(folder, kind)
    if not isinstance(kind, str) or kind not in PIPELINES:
        raise unsupported(path, kind, PIPELINES)
    zeros = values.get("force_zeros_for_empty_prompt", kind == "StableDiffusionXLPipeline")
    if not isinstance(zeros, bool):
        raise ValueError(f"{path}: `force_zeros_for_empty_prompt` must be true or false, got {zeros!r:.80}.")
    return PipelineFolder(folder, kind, _classes(path, kind, values), zeros, _notes(path, kind, values))


def _no_text(folder: Path, kind: str) -> ValueError:
    return ValueError(
        f"{folder} holds a model without prompts ({kind}), and a text-to-image pipeline is needed here; "
        "leave the prompt out (`spurion sample`), or open it with `spurion.diffusion.load_denoiser`."
    )


def _classes(path: Path, kind: str, values: dict[str, Any]) -> dict[str, str]:
    """The classes of the parts that are used."""
    classes = {}
    for part, known in PIPELINES[kind].items():
        entry = values.get(part)
        name = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
        if not isinstance(name, str):
            raise ValueError(f"{path}: the pipeline has no {part}, without which a {kind} cannot be run.")
        if known and name not in known:
            raise unsupported(path, f"a {kind} with {part} {name}", [f"{part} {one}" for one in known])
        if not (path.parent / part).is_dir():
            raise ValueError(f"{path.parent} is damaged: it has no folder {part}, which its index names.")
        classes[part] = name
    return classes


def _notes(path: Path, kind: str, values: dict[str, Any]) -> tuple[str, ...]:
    """What is said of parts that are not used."""
    there = [
        name
        for name, entry in values.items()
        if not name.startswith("_")
        and name not in PIPELINES[kind]
        and isinstance(entry, list)
        and any(word is not None for word in entry)
    ]
    for name in there:
        if name not in _NOT_RUN:
            raise unsupported(path, f"a {kind} with {name}", PIPELINES)
    return tuple(_NOT_RUN[name] for name in there if _NOT_RUN[name])


def part_weights(folder: Path) -> list[Path]:
    """The files that hold the weights of a part; see `find_weights`.

    Raises:
        ValueError: If there is none but pickles, or as `find_weights`.
    """
    if not any(folder.glob("*.safetensors*")):
        pickles = sorted(path.name for kind in _PICKLES for path in folder.glob(kind))
        if pickles:
            raise ValueError(
                f"{folder} has its weights in {pickles[0]:.80} only, a pickle, which is never opened; save "
                "the pipeline as safetensors (`safe_serialization=True` of diffusers)."
            )
    return find_weights(folder)


def pipeline_hash(index: PipelineFolder) -> str:
    """Hash of everything that decides what a pipeline answers, wherever it lies and whatever it is called.

    SHA-256 over the index and, of every part that is used, the ``.json`` and ``.txt`` files and the weights
    that are read, in the order of their paths: for each the path, a zero byte and the SHA-256 of its content.
    """
    folder, digest = index.path, hashlib.sha256()
    files = {folder / INDEX_FILE}
    for part in index.classes:
        texts = [*(folder / part).glob("*.json"), *(folder / part).glob("*.txt")]
        weights = part_weights(folder / part) if part.startswith(("unet", "vae", "text_encoder")) else []
        files |= set(visible((*texts, *weights)))
    for inside, path in sorted((path.relative_to(folder).as_posix(), path) for path in files):
        with path.open("rb") as file:
            digest.update(inside.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
