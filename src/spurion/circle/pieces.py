"""The pieces of a study of the circle: each is computed once, stored in a file of its own, and read back.

::

    pieces/landscape-9.json   pieces/phases-10.0-64.json   pieces/trained-9-paper.json   ...

A file holds the processor seconds of the piece and its result. It is written when the piece is done, so a
study that was killed computes again what was under way and nothing else. A training goes on where it was.
A piece whose files are damaged is told and computed again.
"""

__all__ = ["Piece", "exact_pieces", "is_done", "read_piece", "run_piece", "trained_pieces"]

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from spurion.circle.config import CircleConfig
from spurion.circle.landscapes import branches, landscape, table
from spurion.circle.phases import capacity_law, phase_point, ripple_law
from spurion.circle.trained import train_and_compare
from spurion.core.config import Config
from spurion.core.failures import one_sentence, raise_if_refused
from spurion.core.files import read_json
from spurion.core.progress import Progress
from spurion.core.store import Store
from spurion.diffusion.training import is_trained

RIPPLE_COUNT = 1000
RIPPLE_SETS = 24

Key = tuple[int | float | str, ...]


@dataclass(frozen=True)
class Piece:
    """One piece.

    `kind`: what to compute. `key`: for which number of patterns (0: infinitely many), temperature or network.
    """

    folder: Path
    config: CircleConfig
    kind: str
    key: Key

    @property
    def file(self) -> Path:
        """Where its result is stored."""
        name = "-".join([self.kind, *(str(part) for part in self.key)])
        return self.folder / "pieces" / f"{name}.json"

    @property
    def grid(self) -> Path:
        """Where the grid of a landscape is stored."""
        return self.folder / "landscapes" / f"{self.key[0] or 'ring'}.npz"

    @property
    def trained(self) -> Path:
        """The folder of a training."""
        return self.folder / "trained" / f"{int(self.key[0]):06d}-{self.key[1]}"

    @property
    def beside(self) -> tuple[Path, ...]:
        """The other files of the piece."""
        if self.kind == "trained":
            return (self.trained / "samples.npz", self.trained / "grid.npz")
        return (self.grid,) if self.kind == "landscape" else ()

    @property
    def store(self) -> Store:
        """Where its files are known by their checksums."""
        return Store(self.folder, self.file.stem)


def exact_pieces(folder: Path, config: CircleConfig) -> list[Piece]:
    """All pieces of the exact part, those that take longest first."""
    phases, sweep = config.phases, config.sweep
    keys: list[tuple[str, Key]] = [
        *(("landscape", (count,)) for count in reversed((0, *config.landscapes.counts))),
        *(("phases", (beta, count)) for count in reversed(phases.counts) for beta in reversed(phases.betas)),
        *(("branches", (count,)) for count in reversed(config.branches.counts)),
        *(("capacity", (beta,)) for beta in reversed(config.laws.betas)),
        *(("sweep", (beta, count)) for count in sweep.counts for beta in sweep.betas),
        *(("table", (count,)) for count in reversed(config.table.counts)),
        *(("ripple", (beta,)) for beta in config.laws.betas),
    ]
    return [Piece(folder, config, kind, key) for kind, key in keys]


def trained_pieces(folder: Path, config: CircleConfig) -> list[Piece]:
    """All pieces of the trained part, the largest networks' first."""
    names = [name for name, network in config.trained.networks.items() if network is not None]
    return [
        Piece(folder, config, "trained", (count, name)) for name in names for count in config.trained.counts
    ]


def is_done(piece: Piece) -> bool:
    """Whether a piece is there as it was left; what is damaged is told and taken away."""
    if piece.store.clear():
        piece.store.remove(piece.file)
    done = piece.store.recall(piece.file, _parsed, *piece.beside) is not None
    return done and (piece.kind != "trained" or is_trained(piece.trained))


def run_piece(piece: Piece, report: Progress) -> str:
    """Compute a piece and store it, unless that is done.

    Returns:
        An empty text, or one sentence on why a training failed; it is then tried again next time.

    Raises:
        OSError: If the disk is full or cannot be written.
    """
    if is_done(piece):
        return ""
    piece.store.remove(piece.file)
    start = time.process_time()
    try:
        result = COMPUTE[piece.kind](piece, report)
    except (ValueError, RuntimeError) as error:
        if piece.kind != "trained":
            raise
        raise_if_refused(error, piece.folder)
        return one_sentence(error)
    seconds = round(time.process_time() - start, 3)
    values = {"seconds": seconds, "result": [part.model_dump(mode="json") for part in result]}
    piece.store.keep(piece.file, values, *piece.beside)
    return ""


def read_piece(piece: Piece) -> tuple[list[dict[str, Any]], float]:
    """The stored result of a piece, as plain values, and its seconds.

    Raises:
        ValueError: If the file is damaged.
    """
    try:
        return _parsed(read_json(piece.file))
    except (KeyError, TypeError):
        raise ValueError(f"{piece.file} is damaged; delete it and run the study again.") from None


def _parsed(values: Any) -> tuple[list[dict[str, Any]], float]:
    return list(values["result"]), float(values["seconds"])


def _landscape(piece: Piece, report: Progress) -> list[Config]:
    count = int(piece.key[0]) or None
    name = f"K = {count or 'infinity'}"
    return [*landscape(piece.config, count, piece.grid, partial(report, name, "energies and minima"))]


def _table(piece: Piece, report: Progress) -> list[Config]:
    count = int(piece.key[0])
    return [*table(piece.config, count, partial(report, f"K = {count}", "table of minima"))]


def _branches(piece: Piece, report: Progress) -> list[Config]:
    count = int(piece.key[0])
    return [branches(piece.config, count, partial(report, f"K = {count}", "merging minima"))]


def _random_sets(piece: Piece, report: Progress) -> list[Config]:
    beta, count = float(piece.key[0]), int(piece.key[1])
    rule = piece.config.phases if piece.kind == "phases" else piece.config.sweep
    progress = partial(report, f"K = {count}, beta = {beta:.4g}", "random sets")
    seed = piece.config.seed
    return [phase_point(count, beta, sets=rule.sets, draws=rule.draws, seed=seed, progress=progress)]


def _capacity(piece: Piece, report: Progress) -> list[Config]:
    beta, rule = float(piece.key[0]), piece.config.laws
    progress = partial(report, f"beta = {beta:.4g}", "memory capacity")
    return [capacity_law(beta, sets=rule.sets, draws=rule.draws, seed=piece.config.seed, progress=progress)]


def _ripple(piece: Piece, report: Progress) -> list[Config]:
    return [ripple_law(float(piece.key[0]), RIPPLE_COUNT, sets=RIPPLE_SETS, seed=piece.config.seed)]


def _trained(piece: Piece, report: Progress) -> list[Config]:
    count, network = int(piece.key[0]), str(piece.key[1])
    return [train_and_compare(piece.config, count, network, piece.trained, report)]


COMPUTE: dict[str, Callable[[Piece, Progress], list[Config]]] = {
    "landscape": _landscape,
    "table": _table,
    "branches": _branches,
    "sweep": _random_sets,
    "phases": _random_sets,
    "capacity": _capacity,
    "ripple": _ripple,
    "trained": _trained,
}
