"""What a search has found so far, in a file from which it goes on after an interruption."""

__all__ = ["Checkpoint", "Saved"]

import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Shaped
from torch import Tensor

from spurion.core.files import remove_leftovers
from spurion.core.sealed import Damaged, load_tensors, save_tensors, tell
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

        A file that is damaged is told, and kept beside its place: it could be something else.

        Raises:
            ValueError: If the file belongs to another search, or is a folder.
        """
        nothing = Saved(0, {}, None)
        if self._path is None:
            return nothing
        if self._path.is_dir():
            raise ValueError(f"`checkpoint` must be a file, got the folder {self._path}.")
        remove_leftovers(self._path)
        if not self._path.exists():
            return nothing
        try:
            tensors, facts = load_tensors(self._path)
            key, blocks, work = facts["search"], int(facts["blocks"]), Work(**json.loads(facts["work"]))
        except (Damaged, KeyError, TypeError, ValueError):
            aside = self._path.with_name(f"{self._path.name}.damaged")
            self._path.replace(aside)
            tell(
                Damaged(f"{self._path} is damaged or no checkpoint of a search."),
                f"it is kept as {aside.name}, and the search starts again",
            )
            return nothing
        if key != self._key:
            raise ValueError(
                f"{self._path} belongs to another search (other images, distance, k, radius or memory limit);"
                f" delete it or give another `checkpoint`."
            )
        return Saved(blocks, tensors, work)

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
        facts = {"search": self._key, "blocks": str(saved.blocks), "work": json.dumps(asdict(saved.work))}
        save_tensors(self._path, saved.tensors, facts)
        self._saved = time.monotonic()
