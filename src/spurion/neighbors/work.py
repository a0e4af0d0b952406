"""What a search did."""

__all__ = ["Work"]

from dataclasses import dataclass


@dataclass
class Work:
    """How a search came to its answer.

    Attributes:
        engine: What proposed: the name of the last screen that blocks started with, or faiss.
        pairs: All pairs that were compared.
        refined: Pairs whose bounds were recomputed by a finer product.
        subtracted: Pairs whose distances were recomputed by subtraction.
    """

    engine: str = ""
    pairs: int = 0
    refined: int = 0
    subtracted: int = 0

    @property
    def recomputed(self) -> float:
        """The share of pairs that the first bound could not decide."""
        return (self.refined + self.subtracted) / max(1, self.pairs)
