"""The paper's grid of training sizes.

A sparse search finds A, where memorization first drops, and B, where generalization has settled. The
grid has 5 sizes from 2 to A, 30 from A to B and 5 from B to N, all ends included and A and B shared:
38 sizes (Pham et al., 2025, Sec. 4 and App. B).
"""

__all__ = ["paper_grid"]

import numpy as np


def paper_grid(first_drop: int, plateau: int, available: int, smallest: int = 2) -> tuple[int, ...]:
    """Training sizes of the paper: 5 + 30 + 5 linearly spaced, the two joints shared.

    Arguments:
        first_drop: A, the size where memorization first drops.
        plateau: B, the size from which generalization has settled.
        available: N, the number of training images.
        smallest: The smallest size.

    Returns:
        38 ascending sizes (fewer where rounding makes neighbors equal).

    Raises:
        ValueError: Unless smallest < A < B < N.

    Example:
        >>> grid = paper_grid(2000, 16000, 50000)
        >>> len(grid), grid[0], grid[4], grid[33], grid[-1]
        (38, 2, 2000, 16000, 50000)
    """
    if not 1 <= smallest < first_drop < plateau < available:
        raise ValueError(
            f"the grid needs smallest < A < B < N, got {smallest}, {first_drop}, {plateau} and {available}."
        )
    pieces = [
        np.linspace(smallest, first_drop, 5),
        np.linspace(first_drop, plateau, 30),
        np.linspace(plateau, available, 5),
    ]
    return tuple(sorted({int(size) for size in np.rint(np.concatenate(pieces))}))
