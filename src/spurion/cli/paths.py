"""Paths that are not there: told before anything is imported that takes seconds."""

__all__ = ["check_paths", "check_sources"]

from pathlib import Path

SUFFIXES = (".npz", ".npy", ".zip", ".yaml", ".yml")
"""What the name of no data set and of no recipe ends with."""


def check_paths(*paths: Path | None) -> None:
    """Refuse paths that are not there; None is none.

    Raises:
        ValueError: At the first such path.
    """
    for path in paths:
        if path is not None and not path.exists():
            raise ValueError(f"There is no file or folder {path}.")


def check_sources(*sources: str | None) -> None:
    """Refuse what can only be a path and is not there; names, ids and None are left to who reads them.

    Arguments:
        sources: Texts as `spurion.data.open_images` and the verb `study` take them.

    Raises:
        ValueError: At the first such path.
    """
    for source in sources:
        if source is not None and _is_only_a_path(source) and not _split_off(source).exists():
            check_paths(Path(source))


def _is_only_a_path(source: str) -> bool:
    """Whether it is neither a name nor an id, OWNER/NAME; a split may follow either."""
    path = Path(source)
    return (
        path.is_absolute()
        or source.startswith((".", "~"))
        or len(path.parts) > 2
        or path.suffix.lower() in SUFFIXES
    )


def _split_off(source: str) -> Path:
    folder, colon, split = source.rpartition(":")
    return Path(folder) if colon and "/" not in split else Path(source)
