"""What a search did."""

__all__ = ["Work"]

from dataclasses import dataclass


@dataclass
class Work:
    """How a search came to its answer.

    Attributes:
        engine: What proposed: the name of the last screen that blocks started with.
        pairs: All pairs that were compared, of images that equal each other one.
        refined: Pairs whose bounds were recomputed by a finer product, each time.
        subtracted: Pairs whose distances were recomputed by subtraction.
        undecided: Pairs of either kind, each once.
    """

    engine: str = ""
    pairs: int = 0
    refined: int = 0
    subtracted: int = 0
    undecided: int = 0

    @property
    def recomputed(self) -> float:
        """The share of pairs that the first bound could not decide, from 0 to 1."""
        return self.undecided / max(1, self.pairs)

    def close(self, pairs: int, before: "Work") -> None:
        """Count what is recomputed of a block, once it is done.

        Arguments:
            pairs: The pairs of the block.
            before: The work when the block began; where more was refined since, all of its pairs were.
        """
        self.undecided += pairs if self.refined > before.refined else self.subtracted - before.subtracted
