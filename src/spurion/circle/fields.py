"""Fields that several parts of the circle's configuration have: numbers of patterns, temperatures, times."""

__all__ = ["Beta", "Betas", "Counts", "NetworkName", "Time", "Times"]

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from spurion.circle.ring import PAPER_SIZE


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(set(values)))


def _latest_first(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(set(values), reverse=True))


Count = Annotated[int, Field(ge=1, le=PAPER_SIZE)]
Counts = Annotated[tuple[Count, ...], AfterValidator(_each_once)]
Beta = Annotated[float, Field(gt=0, le=1e8)]
Betas = Annotated[tuple[Beta, ...], AfterValidator(_each_once)]
Time = Annotated[float, Field(ge=1e-8, le=1)]
NetworkName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,50}$")]
Times = Annotated[tuple[Time, ...], AfterValidator(_latest_first)]
