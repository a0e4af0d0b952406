"""What may end one piece of work without ending the others, and how it is told."""

__all__ = ["FAILURES", "Losses", "one_sentence", "out_of_memory", "raise_if_refused"]

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spurion.core.files import refusal

FAILURES = (ArithmeticError, MemoryError, RuntimeError, ValueError)
"""Failures of numbers, libraries and memory; not those of the system, and not being interrupted."""

LEAST_FREE_BYTES = 2**20

NO_MEMORY = "Out of memory; try smaller batches, fewer workers or another --device."


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that there was no memory left, on the processor or on an accelerator."""
    named = type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)
    return isinstance(error, MemoryError) or named


def one_sentence(error: Exception) -> str:
    """What an error says, on one line."""
    if out_of_memory(error):
        return NO_MEMORY
    return " ".join(str(error).split()) or type(error).__name__


def raise_if_refused(error: Exception, folder: Path) -> None:
    """Turn a failure on a full disk, or at another limit of the place, into the system's own error.

    Raises:
        OSError: If that is what the error came from; it ends the study.
    """
    number = refusal(error)
    if number is None and shutil.disk_usage(folder).free < LEAST_FREE_BYTES:
        number = errno.ENOSPC
    if number is not None:
        raise OSError(number, os.strerror(number), str(folder)) from error


class Losses:
    """What could not be had, where, and why: failures that cost no more than themselves."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], list[str]] = {}

    @contextmanager
    def alone(self, *names: str, where: str = "") -> Iterator[None]:
        """Note a failure in the block as the loss of these names, and go on after it."""
        try:
            yield
        except FAILURES as error:
            for name in names:
                self._places.setdefault((one_sentence(error), name), []).append(where)

    def add(self, other: "Losses") -> None:
        """Take over what another one noted."""
        for loss, places in other._places.items():
            self._places.setdefault(loss, []).extend(places)

    def sentences(self) -> tuple[str, ...]:
        """One sentence for each reason and the places where it holds."""
        together: dict[tuple[str, str], list[str]] = {}
        for (reason, name), places in self._places.items():
            together.setdefault((", ".join(filter(None, dict.fromkeys(places))), reason), []).append(name)
        return tuple(
            f"No {', '.join(names)}{f' at {places}' if places else ''}: {reason}"
            for (places, reason), names in together.items()
        )
