"""A training step recorded once as a CUDA graph and replayed as one launch.

A step of a small network is hundreds of short kernels, and launching them one by one takes longer than what
they compute. A graph launches them all. Whatever changes from step to step is a tensor that the graph reads:
the batch, the learning rate, the share of the moving average. Layers that draw, such as dropout, read the
seed of torch's generator, which a replay passes on, so that a replayed step draws what an eager one draws.

Recording is tried out first: steps are taken eagerly, so that libraries set themselves up, then one is
replayed, and all that they changed is put back. What a training computes is therefore all replayed, from
whichever step it is resumed.
"""

__all__ = ["CapturedStep", "NotCaptured", "can_capture"]

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Shaped
from torch import Tensor

WARM = 3
"""Eager steps before the recording."""
ALIKE = 0.05
"""The largest relative difference between the losses of an eager and a replayed step, in bfloat16."""

Inputs = Sequence[Shaped[Tensor, "..."]]


def can_capture(device: str) -> bool:
    """Whether steps on a device may be recorded."""
    return device == "cuda"


class NotCaptured(RuntimeError):
    """A step could not be recorded, or its replay gives something else."""


class CapturedStep:
    """A function of tensors that changes others, recorded.

    Arguments:
        update: The step, from its inputs to its loss.
        inputs: Those of some step: their shapes are those of all.
        state: All tensors that a step changes and the next one reads.
        seed: Called before every step: seeds what the layers draw.

    Raises:
        NotCaptured: If the step cannot be recorded, or replayed with the same result.
    """

    def __init__(
        self, update: Callable[..., Tensor], inputs: Inputs, state: Inputs, seed: Callable[[], None]
    ) -> None:
        self._inputs = [torch.empty_like(value).copy_(value) for value in inputs]
        before = [value.clone() for value in state]
        try:
            self._record(update, state, before, seed)
        except NotCaptured:
            raise
        except (RuntimeError, AssertionError) as error:
            raise NotCaptured(f"{error!s:.200}".splitlines()[0] if str(error) else repr(error)) from error
        finally:
            _put_back(state, before)

    def fits(self, inputs: Inputs) -> bool:
        """Whether inputs have the shapes of those that the step was recorded with."""
        return all(mine.shape == given.shape for mine, given in zip(self._inputs, inputs, strict=True))

    def __call__(self, *inputs: Shaped[Tensor, "..."]) -> Tensor:
        """Take a step and return its loss, without waiting for it."""
        for mine, given in zip(self._inputs, inputs, strict=True):
            mine.copy_(given, non_blocking=True)
        return self._replay().clone()

    def _record(
        self, update: Callable[..., Tensor], state: Inputs, before: Inputs, seed: Callable[[], None]
    ) -> None:
        with beside():
            for _ in range(WARM):
                _put_back(state, before)
                seed()
                eager = update(*self._inputs).clone()
        _put_back(state, before)
        self._replay = record(lambda: update(*self._inputs))
        losses = []
        for _ in range(2):
            _put_back(state, before)
            seed()
            losses.append(float(self._replay()))
        expected = float(eager)
        if losses[0] != losses[1] or abs(losses[0] - expected) > ALIKE * abs(expected):
            raise NotCaptured(
                f"its replays give the losses {losses[0]:g} and {losses[1]:g}, not {expected:g}"
            )


@contextmanager
def beside() -> Iterator[None]:
    """Work on a stream of its own, as libraries must have done before a recording."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        torch.cuda.current_stream().wait_stream(stream)


def record(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """A function that replays what another one does; its result is always the same tensor."""
    graph = torch.cuda.CUDAGraph()
    # other threads may draw batches into pinned memory meanwhile
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = run()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def _put_back(state: Inputs, before: Inputs) -> None:
    with torch.no_grad():
        for value, old in zip(state, before, strict=True):
            value.copy_(old)
