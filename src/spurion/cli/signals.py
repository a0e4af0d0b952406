"""Signals that end a run: the first one lets it end in good order, a second one ends it at once.

Ctrl-C (SIGINT), SIGTERM and SIGHUP stop a verb the same way, with one sentence and the exit code that shells
expect, 128 and the number of the signal. Nothing is lost either way: files are whole or absent.
"""

__all__ = ["Terminated", "stopped_by_signals"]

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from spurion.core.interruption import remember

ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
SHOW_CURSOR = b"\x1b[?25h"
AT_ONCE = b"spurion: Ended at once; files are whole or absent, and the same command may be given again.\n"


class Terminated(KeyboardInterrupt):
    """A run that is ended by a signal.

    Attributes:
        code: The exit code.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


def stopped_by_signals() -> None:
    """Let signals end this process in good order; those that are ignored, as `nohup` has it, stay so."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    for ending in ENDING:
        if signal.getsignal(ending) is not signal.SIG_IGN:
            signal.signal(ending, _leave)
    raise remember(Terminated(number))


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    if sys.stderr.isatty():
        os.write(2, SHOW_CURSOR)
    os.write(2, AT_ONCE)
    os._exit(128 + number)
