"""The index of a model folder: which pipeline it is, and where its parts lie.

A pipeline of diffusers has a ``model_index.json`` and its parts in ``unet`` and ``scheduler``, or beside the
index. Only pipelines of one unconditional network in pixels and one scheduler are opened here: a further part
(a decoder of latents, an encoder of text) means that the network alone makes no images.
"""

__all__ = ["INDEX_FILE", "NETWORK_FILE", "TEXT_PIPELINES", "Parts", "find_parts"]

from pathlib import Path
from typing import Any, NamedTuple

from spurion.core.files import read_json
from spurion.diffusion.scheduler_file import SCHEDULER_FILE
from spurion.diffusion.unsupported import unsupported

INDEX_FILE = "model_index.json"
NETWORK_FILE = "config.json"

TEXT_PIPELINES = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
"""Pipelines that answer prompts, which `spurion.prompts` opens."""

_PIPELINES = ("DDPMPipeline", "DDIMPipeline", "PNDMPipeline", "NetworkDenoiser")
"""Pipelines whose network sees pixels and steps alone; the last is that of networks with a `VESchedule`."""


class Parts(NamedTuple):
    """Where the parts of a model lie, and the classes that the index names for them; None without one."""

    network: Path
    scheduler: Path
    network_class: str | None = None
    scheduler_class: str | None = None


def find_parts(folder: Path) -> Parts:
    """Find network and scheduler of a model folder.

    Raises:
        ValueError: If it is no model folder, its index is damaged, or it is another kind of pipeline.
    """
    if (folder / INDEX_FILE).is_file():
        classes = _classes(folder / INDEX_FILE)
        network, scheduler = (
            folder / part if (folder / part).is_dir() else folder for part in ("unet", "scheduler")
        )
        return Parts(network, scheduler, classes["unet"], classes["scheduler"])
    if (folder / NETWORK_FILE).is_file():
        return Parts(folder, folder if (folder / SCHEDULER_FILE).is_file() else folder / "scheduler")
    raise ValueError(
        f"{folder} is no model folder: it has neither a {INDEX_FILE} beside `unet` and `scheduler`, nor the "
        f"{NETWORK_FILE} of a network with a {SCHEDULER_FILE}."
    )


def _classes(path: Path) -> dict[str, str]:
    """The classes of `unet` and `scheduler`."""
    values = read_json(path)
    values = values if isinstance(values, dict) else {}
    if values.get("_class_name") in TEXT_PIPELINES:
        raise ValueError(
            f"{path}: {values['_class_name']!r} (text to images) makes no images without a text: give "
            "`spurion sample` a --prompt, or open it with `spurion.prompts.load_pipeline`."
        )
    if values.get("_class_name") not in _PIPELINES:
        raise unsupported(path, values.get("_class_name"), _PIPELINES[:-1])
    entries = {part: entry for part, entry in values.items() if _is_part(part, entry)}
    for part in ("unet", "scheduler"):
        entry = entries.pop(part, None)
        if not (isinstance(entry, list) and len(entry) == 2 and all(isinstance(name, str) for name in entry)):
            raise ValueError(f"{path} is damaged: it does not say of which class its `{part}` is.")
    for part, entry in entries.items():
        raise unsupported(path, f"a pipeline with {part} {entry[-1]}", _PIPELINES[:-1])
    return {part: values[part][1] for part in ("unet", "scheduler")}


def _is_part(name: str, entry: Any) -> bool:
    """Whether an entry of the index names a part that is there; the others are settings."""
    return not name.startswith("_") and isinstance(entry, list) and any(word is not None for word in entry)
