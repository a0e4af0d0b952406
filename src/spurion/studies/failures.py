"""What goes wrong with one piece of a study: a sentence about it, unless it is the machine that failed."""

__all__ = ["one_sentence", "raise_if_refused"]

import errno
import os
import shutil
from pathlib import Path

from spurion.core.files import refusal

LEAST_FREE_BYTES = 2**20


def one_sentence(error: Exception) -> str:
    """What an error says, on one line."""
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
