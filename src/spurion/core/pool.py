"""Processes that run tasks, stage after stage.

Every worker is a fresh process (spawned, so that no thread or accelerator state is inherited) with a fixed
number of threads, so that numbers do not depend on how many run. Processes start when there are tasks for
them. They end with their parent, however it ends (see `spurion.core.worker`): a killed run leaves nobody
writing into its folder.
"""

__all__ = ["Pool"]

import logging
import os
import queue
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from spurion.core.interruption import raise_if_asked
from spurion.core.progress import Progress
from spurion.core.spawning import WorkerContext
from spurion.core.worker import ENDED, Result, Task, run_one, start_worker

LAST_WORDS = 5.0
"""Seconds in which the messages of finished tasks must have come."""


class Pool:
    """Workers that live until `close` or `stop`.

    Arguments:
        workers: The largest number of processes.
        threads: The number of torch threads of each.
    """

    def __init__(self, workers: int, threads: int) -> None:
        self.workers, self.threads = workers, threads
        context = WorkerContext()
        self._channel = context.Queue()
        self._processes = ProcessPoolExecutor(
            workers,
            mp_context=context,
            initializer=start_worker,
            initargs=(os.getpid(), threads, self._channel),
        )

    def run(
        self, function: Callable[[Task, Progress], Result], tasks: Sequence[Task], report: Progress
    ) -> Iterator[tuple[int, Result]]:
        """Run a function over tasks and yield (index of the task, result) as each finishes.

        Whatever a task reports is told before this ends. Once it has not ended, the pool can only be stopped.

        Raises:
            RuntimeError: If a worker died (killed, or out of memory).
        """
        told = 0
        try:
            with _signals_held():  # workers start with the same: the parent decides when to stop
                futures: dict[Future[Result], int] = {
                    self._processes.submit(run_one, function, task): index for index, task in enumerate(tasks)
                }
            pending = set(futures)
            while pending:
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                raise_if_asked()
                told += self._drain(report)
                for future in done:
                    yield futures[future], future.result()
        except BrokenProcessPool:
            raise RuntimeError(
                "A worker process died, perhaps for want of memory; run the same command again to continue, "
                "with fewer workers if it happens again."
            ) from None
        patience = time.monotonic() + LAST_WORDS
        while told < len(tasks) and time.monotonic() < patience:
            told += self._drain(report, wait_for=0.05)

    def close(self) -> None:
        """Let the workers, which have nothing to do, leave."""
        self._processes.shutdown()
        self.stop()

    def stop(self) -> None:
        """End all workers at once; what they leave is whole, and a second signal does not cut this short."""
        with _signals_held():
            processes = list((self._processes._processes or {}).values())
            for process in processes:
                process.kill()
            self._processes.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.join(5)
        self._channel.cancel_join_thread()
        self._channel.close()

    def _drain(self, report: Progress, *, wait_for: float = 0.0) -> int:
        """Pass on what the workers say; returns how many tasks have said their last word."""
        ended = 0
        while True:
            try:
                message = self._channel.get(timeout=wait_for) if wait_for else self._channel.get_nowait()
            except queue.Empty:
                return ended
            if message == ENDED:
                ended += 1
            elif isinstance(message, logging.LogRecord):
                logging.getLogger(message.name).handle(message)
            else:
                report(*message)


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
