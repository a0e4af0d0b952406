"""A worker process of the task engine, which ends when its parent does.

A worker must not write once its parent is gone: the next run may have begun. On Linux the system kills it in
that moment. Elsewhere it looks four times a second, and before each file that it finishes. This module
imports nothing that takes long, torch least of all, so that a worker is guarded from its first half second
on; before that it does nothing but import.
"""

__all__ = ["ENDED", "Result", "Task", "run_one", "start_worker"]

import ctypes
import logging
import logging.handlers
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from spurion.core.files import write_only_under
from spurion.core.progress import Progress

Task = TypeVar("Task")
Result = TypeVar("Result")

ENDED = "ended"
"""The last message of every task."""

PR_SET_PDEATHSIG = 1
"""The option of Linux' `prctl` that names the signal of a parent's end."""

_channel: Any = None


def start_worker(parent: int, threads: int, channel: Any) -> None:
    """Prepare this process for its tasks.

    Arguments:
        parent: The number of the process that it must not outlive.
        threads: The number of torch threads.
        channel: Where progress and log records go.
    """
    global _channel
    _channel = channel
    _end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    logging.getLogger("spurion").addHandler(logging.handlers.QueueHandler(channel))
    import torch

    torch.set_num_threads(threads)


def run_one(function: Callable[[Task, Progress], Result], task: Task) -> Result:
    """Run a function on a task; its progress goes to the parent, not too often, and last of all `ENDED`."""
    last_time, last_stage = 0.0, ""

    def report(name: str, stage: str, done: int, total: int) -> None:
        nonlocal last_time, last_stage
        now = time.monotonic()
        if stage != last_stage or done >= total or now - last_time > 0.2:
            last_time, last_stage = now, stage
            _channel.put((name, stage, done, total))

    try:
        return function(task, report)
    finally:
        _channel.put(ENDED)


def _end_with(parent: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    write_only_under(parent)
    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.25)
    os._exit(1)
