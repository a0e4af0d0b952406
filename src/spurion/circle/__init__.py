"""The circle, whole: the paper's toy model in closed form, exact and trained, its study, page and verb."""

__all__ = [
    "CircleConfig",
    "CircleResult",
    "RingEnergy",
    "circle_study",
    "paper_circle",
    "ring_memory_capacity",
    "ring_minima",
    "ring_radius",
    "ring_ripple",
]

from spurion.circle.config import CircleConfig
from spurion.circle.results import CircleResult
from spurion.circle.ring import (
    RingEnergy,
    paper_circle,
    ring_memory_capacity,
    ring_minima,
    ring_radius,
    ring_ripple,
)
from spurion.circle.study import circle_study
