"""The cells of a grid, and its run folder.

::

    config.yaml                      the study, the fields that vary with their values, and the seeds
    study.json  report.html  figures/
    cells/seed=0,denoiser.width=32/  one run folder for each cell, as a study alone has it

Values and seeds may be added: the same command with more of them goes on with the folder.
"""

__all__ = ["Cell", "cells_of", "grown"]

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spurion.core.config import build_config
from spurion.core.store import first_difference
from spurion.grid.config import STEPS, GridConfig, label
from spurion.studies.config import StudyConfig, load_config

LONGEST_NAME = 40
"""Characters of a value in the name of a folder."""


@dataclass(frozen=True)
class Cell:
    """One study of a grid.

    Attributes:
        folder: Its run folder.
        values: The values of the fields that vary.
        config: Its configuration.
    """

    folder: Path
    values: dict[str, Any]
    config: StudyConfig

    @property
    def name(self) -> str:
        """What progress calls it."""
        return ", ".join([*(f"{field}={label(v)}" for field, v in self.values.items()), f"seed={self.seed}"])

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.config.seed


def cells_of(config: GridConfig, root: Path) -> tuple[Cell, ...]:
    """All cells, in the order in which they run: every seed by itself, steps of one training ascending."""
    return tuple(
        Cell(root / "cells" / _folder_name(values, seed), values, config.cell(values, seed))
        for seed in config.seeds
        for values in config.combinations
    )


def _folder_name(values: dict[str, Any], seed: int) -> str:
    return ",".join([f"seed={seed}", *(f"{field}={_plain(value)}" for field, value in values.items())])


def _plain(value: Any) -> str:
    """A value in the name of a folder; what is changed of it is told apart by a hash.

    Example:
        >>> _plain("4x"), _plain(0.001), _plain("null:0.01")
        ('4x', '0.001', 'null_0.01~767999')
    """
    text = label(value)
    plain = re.sub(r"[^A-Za-z0-9.+-]+", "_", text)[:LONGEST_NAME]
    digest = hashlib.sha256(json.dumps(value).encode()).hexdigest()[:6]
    return plain if plain == text else f"{plain}~{digest}"


def grown(root: Path, asked: GridConfig) -> tuple[GridConfig, GridConfig]:
    """The grid that a folder holds, and the one that it shall hold: the same, or with more cells.

    Arguments:
        root: The run folder.
        asked: The grid that is asked for.

    Returns:
        Both; twice the grid that is asked for where the folder holds none, or something else.

    Raises:
        ValueError: If the folder holds a grid that is no part of this one, or its configuration is damaged.
    """
    path = root / "config.yaml"
    values = load_config(path) if path.is_file() else {}
    if values.get("kind") != asked.kind:
        return asked, asked
    known = build_config(GridConfig, values, str(path))
    if set(known.over) != set(asked.over):
        names = " and ".join(f"`{field}`" for field in known.over) or "seeds alone"
        raise ValueError(f"{root} holds a grid over {names}; choose another `--out`.")
    if known.longest != asked.longest:
        raise ValueError(
            f"{root} holds a grid whose training goes to step {known.longest:,}, and one to "
            f"{asked.longest:,} is another training; choose another `--out`, or leave {STEPS} as it is there."
        )
    for field in known.over:
        _check_kept(root, f"{field}=", known.over[field], asked.over[field])
    _check_kept(root, "seed ", known.seeds, asked.seeds)
    asked = asked.model_copy(update={"over": {field: asked.over[field] for field in known.over}})
    wanted = {cell.folder: cell.config for cell in cells_of(asked, root)}
    for cell in cells_of(known, root):
        old, new = (one.model_dump(mode="json") for one in (cell.config, wanted[cell.folder]))
        if difference := first_difference(old, new):
            field, before, now = difference
            raise ValueError(
                f"{root} holds a grid of another study: `{field}` is {before!r} there and {now!r} now; "
                "choose another `--out`, or ask for the same study to go on with it."
            )
    return known, asked


def _check_kept(root: Path, what: str, known: tuple[Any, ...], asked: tuple[Any, ...]) -> None:
    missing = [label(value) for value in known if value not in asked]
    if missing:
        raise ValueError(
            f"{root} holds a grid with {what}{missing[0]} too; name it as well, or choose another `--out`."
        )
