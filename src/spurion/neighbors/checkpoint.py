"""What a search has found so far, in a file from which it goes on after an interruption."""

__all__ = ["Checkpoint", "Saved"]

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import Shaped
from torch import Tensor

from spurion.core.files import remove_leftovers
from spurion.core.store import KeyedFile
from spurion.core.tensors import Damaged, Tensors, tell
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
        another = "belongs to another search"
        remedy = "delete it or give another `checkpoint`"
        self._file = None if path is None else KeyedFile(Path(path), "search", another, remedy)
        self._key = settings | {"format": 3}
        self._saved = time.monotonic()

    def load(self) -> Saved:
        """What was saved, nothing if there is no file; what a killed search left half written is removed.

        A file that is damaged is told, and kept beside its place: it could be something else.

        Raises:
            ValueError: If the file belongs to another search, or is a folder.
        """
        nothing = Saved(0, {}, None)
        if self._file is None:
            return nothing
        path = self._file.path
        if path.is_dir():
            raise ValueError(f"`checkpoint` must be a file, got the folder {path}.")
        remove_leftovers(path)
        try:
            return self._file.load(self._key, _saved) or nothing
        except Damaged:
            aside = path.with_name(f"{path.name}.damaged")
            path.replace(aside)
            tell(
                Damaged(f"{path} is damaged or no checkpoint of a search."),
                f"it is kept as {aside.name}, and the search starts again",
            )
            return nothing

    def is_due(self) -> bool:
        """Whether there is a file and it was last saved some time ago."""
        return self._file is not None and time.monotonic() - self._saved >= SECONDS

    def offer(self, saved: Saved) -> None:
        """Save what is done, if it is due."""
        if self.is_due():
            self.save(saved)

    def save(self, saved: Saved) -> None:
        """Save what is done."""
        if self._file is None or saved.work is None:
            return
        self._file.save(saved.tensors, self._key, blocks=saved.blocks, work=asdict(saved.work))
        self._saved = time.monotonic()


def _saved(tensors: Tensors, facts: dict[str, Any]) -> Saved:
    return Saved(int(facts["blocks"]), dict(tensors), Work(**facts["work"]))
