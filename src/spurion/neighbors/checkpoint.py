"""What a search has found so far, in a file from which it goes on after an interruption."""

__all__ = ["Checkpoint", "Saved"]

import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Shaped
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spurion.core.files import atomic_write, remove_leftovers
from spurion.neighbors.work import Work

SECONDS = 5.0
"""A search that is killed loses at most this much work, and the block it was in."""


class Saved(NamedTuple):
    """What a search has found so far.

    Attributes:
        blocks: The number of blocks that are done.
        tensors: What they gave, by name; empty before the first.
        work: What was done for it; None before the first.
    """

    blocks: int
    tensors: dict[str, Shaped[Tensor, "..."]]
    work: Work | None


class Checkpoint:
    """The file of one search; without a path, nothing is kept.

    Arguments:
        path: The file, written whole or not at all.
        settings: Whatever the answer or the order of blocks depends on.
    """

    def __init__(self, path: Path | str | None, settings: dict[str, object]) -> None:
        self._path = None if path is None else Path(path)
        self._key = hashlib.sha256(json.dumps(settings | {"format": 2}, sort_keys=True).encode()).hexdigest()
        self._saved = time.monotonic()

    def load(self) -> Saved:
        """What was saved, nothing if there is no file; what a killed search left half written is removed.

        Raises:
            ValueError: If the file is damaged or belongs to another search.
        """
        if self._path is None:
            return Saved(0, {}, None)
        remove_leftovers(self._path)
        if not self._path.exists():
            return Saved(0, {}, None)
        try:
            with safe_open(self._path, "pt") as file:
                facts = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{self._path} is not a checkpoint of a search ({error!s:.80}).") from None
        if facts.get("search") != self._key:
            raise ValueError(
                f"{self._path} belongs to another search (other images, distance, k, radius or memory limit);"
                f" delete it or give another `checkpoint`."
            )
        return Saved(int(facts["blocks"]), tensors, Work(**json.loads(facts["work"])))

    def is_due(self) -> bool:
        """Whether there is a file and it was last saved some time ago."""
        return self._path is not None and time.monotonic() - self._saved >= SECONDS

    def offer(self, saved: Saved) -> None:
        """Save what is done, if it is due."""
        if self.is_due():
            self.save(saved)

    def save(self, saved: Saved) -> None:
        """Save what is done."""
        if self._path is None or saved.work is None:
            return
        content = {name: tensor.to("cpu", copy=True).contiguous() for name, tensor in saved.tensors.items()}
        facts = {"search": self._key, "blocks": str(saved.blocks), "work": json.dumps(asdict(saved.work))}
        with atomic_write(self._path) as temporary:
            save_file(content, temporary, facts)
        self._saved = time.monotonic()
