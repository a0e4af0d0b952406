"""The optional package that text-to-image models need, and its silence.

`transformers` holds the text encoders. It is imported where it is used and never asks the network; what it
and diffusers say on the way (advice, progress bars, fields they do not know) is not for the user's eyes.
"""

__all__ = ["quiet_libraries", "transformers"]

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_TALKATIVE = ("transformers", "diffusers", "huggingface_hub", "torch", "tokenizers")


def transformers() -> Any:
    """The module `transformers`.

    Raises:
        ValueError: If it is not installed.
    """
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    try:
        with quiet_libraries():
            import transformers as library
    except ImportError as error:
        if error.name not in ("transformers", "tokenizers"):
            raise
        raise ValueError(
            f"The package `{error.name}` is needed for text-to-image models: pip install 'spurion[prompts]'."
        ) from None
    return library


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the libraries from talking: no warnings, no lines of their loggers, no progress bars."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    bars = _bars()
    if bars:
        bars.disable_progress_bar()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            bars.enable_progress_bar()


def _bars() -> Any:
    """What switches the progress bars of `transformers` off and on; None if none are shown."""
    if "transformers" not in sys.modules:
        return None
    from transformers.utils import logging as bars

    return bars if bars.is_progress_bar_enabled() else None
