"""The log of a training: the mean loss of each interval, as JSON lines.

A line is ``{"step": 200, "loss": 0.0712, "learning_rate": 0.003}``: the steps done, the mean loss since the
line before and the learning rate of the last step. Lines are appended as they come; the rows are also part
of the training state, from which a resumed training writes the file anew. So whatever a kill left behind,
half a line or lines of steps that are taken again, the file ends as if nothing had happened.
"""

__all__ = ["TrainingDiverged", "TrainingLog"]

import json
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.files import write_text


class TrainingDiverged(ValueError):
    """The loss is no longer a number.

    Attributes:
        step: The first such step, counted from 0.
        loss: Its loss: NaN or infinite.
    """

    def __init__(self, step: int, loss: float) -> None:
        super().__init__(
            f"The training loss became {loss} at step {step}; lower `learning_rate` or set `clip_norm`."
        )
        self.step, self.loss = step, loss


class TrainingLog:
    """The losses of a training, fetched from the device once an interval.

    Arguments:
        path: The file.
        every: Steps in an interval.
        device: Where the losses come from.
    """

    def __init__(self, path: Path, every: int, device: torch.device | str = "cpu") -> None:
        self._path = path
        self._pending = torch.zeros(every, device=device)
        self._count = 0
        self._done = 0
        self._rows: list[tuple[int, float, float]] = []

    def start(self, done: int, pending: Float[Tensor, " n"], rows: Float[Tensor, "rows 3"]) -> None:
        """Go on after `done` steps from the losses and rows of a training state; write the file anew."""
        self._done, self._count = done, len(pending)
        self._pending[: self._count] = pending.to(self._pending.device)
        self._rows = [(int(step), loss, rate) for step, loss, rate in rows.tolist()]
        write_text(self._path, "".join(map(_line, self._rows)))

    def add(self, loss: Float[Tensor, ""], learning_rate: float) -> None:
        """Note the loss of one step, without waiting for it unless the interval is full.

        Raises:
            TrainingDiverged: If the interval is full and a loss in it is NaN or infinite.
            OSError: If the disk is full.
        """
        self._pending[self._count] = loss
        self._count += 1
        self._done += 1
        if self._count == len(self._pending):
            self.end_interval(learning_rate)

    def end_interval(self, learning_rate: float) -> None:
        """Write a line for the steps since the last one, if there are any; errors as for `add`."""
        pending = self.pending()
        if not len(pending):
            return
        self._count = 0
        self._rows.append((self._done, pending.double().mean().item(), learning_rate))
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(_line(self._rows[-1]))

    def pending(self) -> Float[Tensor, " n"]:
        """The losses since the last line, on the CPU.

        Raises:
            TrainingDiverged: If one of them is NaN or infinite.
        """
        losses = self._pending[: self._count].cpu()
        if not losses.isfinite().all():
            first = int((~losses.isfinite()).nonzero()[0])
            raise TrainingDiverged(self._done - self._count + first, float(losses[first]))
        return losses

    def rows(self) -> Float[Tensor, "rows 3"]:
        """Steps done, mean loss and learning rate of every line, float64."""
        return torch.tensor(self._rows, dtype=torch.float64).view(-1, 3)


def _line(row: tuple[int, float, float]) -> str:
    return json.dumps(dict(zip(("step", "loss", "learning_rate"), row, strict=True))) + "\n"
