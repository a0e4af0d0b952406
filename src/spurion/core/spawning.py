"""Worker processes that never import the caller's `__main__`.

A spawned process first imports the main module of its parent, in case what it runs is defined there. A script
that calls Spurion outside `if __name__ == "__main__":` would then call it again in every worker. Functions
that Spurion runs live in modules of its own, so its workers leave the main module alone: a script, a
notebook, a module run by `-m` and standard input need no guard.
"""

__all__ = ["WorkerContext", "may_start_workers", "without_main"]

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import spawn
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

MAIN_MODULE = ("init_main_from_name", "init_main_from_path")
"""What tells a spawned process which main module to import."""

_changing = threading.Lock()


class Spawned(SpawnProcess):
    """A spawned process whose main module is empty."""

    def start(self) -> None:
        """Start the process; what it runs must be importable by the name of its module."""
        with without_main():
            super().start()


class WorkerContext(SpawnContext):
    """The start method `spawn`, with processes that do not import the caller's main module."""

    Process = Spawned


def may_start_workers() -> bool:
    """Whether this process may have children: one of a `multiprocessing.Pool` may not."""
    return not multiprocessing.current_process().daemon


@contextmanager
def without_main() -> Iterator[None]:
    """Leave the main module out of what this thread tells the processes that it starts."""
    here = threading.get_ident()
    with _changing:
        prepare = spawn.get_preparation_data

        def prepared(name: str) -> dict[str, Any]:
            told = prepare(name)
            if threading.get_ident() == here:
                told = {key: value for key, value in told.items() if key not in MAIN_MODULE}
            return told

        spawn.get_preparation_data = prepared
        try:
            yield
        finally:
            spawn.get_preparation_data = prepare
