"""The task engine: the same function over many tasks, in this process or in several.

`run_tasks` yields results as they finish. With one worker it is a loop. With several, every worker is a
process of a `spurion.core.pool`; inside `kept_workers` one pool serves all calls, so that work in stages does
not wait at every stage for new processes that import torch.
"""

__all__ = ["available_cores", "kept_workers", "run_tasks"]

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from contextvars import ContextVar

import torch

from spurion.core.pool import Pool
from spurion.core.progress import Progress
from spurion.core.spawning import may_start_workers
from spurion.core.worker import Result, Task


def available_cores() -> int:
    """Number of processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Kept:
    """A pool that waits for the next stage; one whose stage did not end well is replaced."""

    def __init__(self) -> None:
        self._waiting: Pool | None = None
        self._at_work: set[Pool] = set()

    def run(
        self,
        function: Callable[[Task, Progress], Result],
        tasks: Sequence[Task],
        workers: int,
        threads: int,
        report: Progress,
    ) -> Iterator[tuple[int, Result]]:
        """One stage."""
        pool, self._waiting = self._waiting, None  # whoever runs a stage has it alone
        if pool is not None and (pool.workers, pool.threads) != (workers, threads):
            pool.close()
            pool = None
        pool = pool or Pool(workers, threads)
        self._at_work.add(pool)
        try:
            yield from pool.run(function, tasks, report)
        except BaseException:
            pool.stop()
            raise
        finally:
            self._at_work.discard(pool)
        self._waiting = pool

    def close(self) -> None:
        """End the processes, if there are any; a stage that nobody goes on with ends here."""
        for pool in self._at_work:
            pool.stop()
        if self._waiting is not None:
            self._waiting.close()


_kept: ContextVar[_Kept | None] = ContextVar("kept", default=None)


@contextmanager
def kept_workers() -> Iterator[None]:
    """Let all calls of `run_tasks` inside share their processes, which end with the outermost of these."""
    if _kept.get() is not None:
        yield
        return
    with closing(_Kept()) as kept:
        token = _kept.set(kept)
        try:
            yield
        finally:
            _kept.reset(token)


def run_tasks(
    function: Callable[[Task, Progress], Result],
    tasks: Sequence[Task],
    *,
    workers: int,
    threads: int,
    report: Progress,
) -> Iterator[tuple[int, Result]]:
    """Run a function over tasks and yield (index of the task, result) as each finishes.

    Arguments:
        function: A function of one task and a progress report, of a module that is not `__main__`.
        tasks: The tasks; they travel to workers by pickle.
        workers: The number of processes; 1 runs everything here, in order, as does a process that may not
            have children.
        threads: The number of torch threads of each worker.
        report: Called in this process as the tasks do: with a name, a stage, and how far it is.

    Raises:
        RuntimeError: If a worker died (killed, or out of memory).
    """
    if workers <= 1 or len(tasks) <= 1 or not may_start_workers():
        yield from _loop(function, tasks, threads, report)
    elif (kept := _kept.get()) is not None:
        yield from kept.run(function, tasks, workers, threads, report)
    else:
        with closing(_Kept()) as alone:
            yield from alone.run(function, tasks, workers, threads, report)


def _loop(
    function: Callable[[Task, Progress], Result], tasks: Sequence[Task], threads: int, report: Progress
) -> Iterator[tuple[int, Result]]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for index, task in enumerate(tasks):
            yield index, function(task, report)
    finally:
        torch.set_num_threads(before)
