"""The task engine: the same function over many tasks, in this process or in several.

`run_tasks` yields results as they finish. With one worker it is a loop. With several, every worker is
a fresh process (spawned, so that no thread or accelerator state is inherited) with a fixed number of
threads, so that numbers do not depend on how many run. Workers end with their parent, however it ends (see
`spurion.core.worker`): a killed run leaves nobody writing into its folder.
"""

__all__ = ["available_cores", "run_tasks"]

import logging
import os
import queue
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import torch

from spurion.core.interruption import raise_if_asked
from spurion.core.progress import Progress
from spurion.core.spawning import WorkerContext, may_start_workers
from spurion.core.worker import Result, Task, run_one, start_worker


def available_cores() -> int:
    """Number of processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
    else:
        yield from _pool(function, tasks, min(workers, len(tasks)), threads, report)


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


def _pool(
    function: Callable[[Task, Progress], Result],
    tasks: Sequence[Task],
    workers: int,
    threads: int,
    report: Progress,
) -> Iterator[tuple[int, Result]]:
    context = WorkerContext()
    channel = context.Queue()
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=start_worker, initargs=(os.getpid(), threads, channel)
    )
    try:
        with _signals_held():  # workers start with the same: the parent decides when to stop
            futures: dict[Future[Result], int] = {
                pool.submit(run_one, function, task): index for index, task in enumerate(tasks)
            }
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            raise_if_asked()
            _drain(channel, report)
            for future in done:
                yield futures[future], future.result()
        pool.shutdown()
        _drain(channel, report)
    except BrokenProcessPool:
        raise RuntimeError(
            "A worker process died, perhaps for want of memory; run the same command again to continue, "
            "with fewer workers if it happens again."
        ) from None
    finally:
        _stop(pool)
        channel.cancel_join_thread()
        channel.close()


def _stop(pool: ProcessPoolExecutor) -> None:
    """End all workers at once; what they leave is whole, and a second signal does not cut this short."""
    with _signals_held():
        processes = list((pool._processes or {}).values())
        for process in processes:
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.join(5)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let signals that end a run wait; processes that are started meanwhile never get those of a terminal."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _drain(channel: Any, report: Progress) -> None:
    while True:
        try:
            message = channel.get_nowait()
        except queue.Empty:
            return
        if isinstance(message, logging.LogRecord):
            logging.getLogger(message.name).handle(message)
        else:
            report(*message)
