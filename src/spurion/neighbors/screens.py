r"""Screens in low precision, and which of them a search uses.

*bfloat16* keeps 8 bits of every coordinate; processors with instructions for it multiply four times as fast.
Products are summed in float32 and stored in bfloat16, so their bound has
:math:`v = 2^{-8}`; the residuals of rounding are computed like all others.

*int8* is for 8-bit images: coordinates on a grid :math:`a + b k`, :math:`k = 0 \ldots 255`, are integers
:math:`k - 128` whose products are exact. Only the distance between the given numbers and the grid, some
:math:`10^{-5}` of a step, remains as their residual.

A search starts with the fastest screen that applies and takes the next finer one where it refuses too much.
"""

__all__ = ["ENGINES", "ByteScreen", "HalfScreen", "Survey", "screens_for", "survey"]

import math
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from jaxtyping import Float, Float64, Int8, Int32, Int64
from torch import Tensor

from spurion.core.arguments import check_choice
from spurion.neighbors.bounds import FloatScreen, Points, Screen, middle, slack_of, unit
from spurion.neighbors.copies import sketched
from spurion.neighbors.rows import Rows

ENGINES = ("auto", "float64", "float32", "bfloat16", "int8")
"""What `nearest` can be told to search with."""

LARGEST_DIM = 2**22
"""From this many coordinates on a single-precision bound is too wide to be of use."""
LARGEST_BYTE_DIM = 2**15
"""With more coordinates, scores of 8-bit images may not fit into 32 bits."""
SMALLEST_HALF_DIM = 32
"""With fewer coordinates distances are so small beside norms that eight bits tell little."""
LARGEST_VALUE = 1e150
"""Squares of larger numbers overflow."""

GRIDS = ((0.5 / 127.5, 1 / 127.5), (128 / 255, 1 / 255), (128.0, 1.0))
"""Center and step of 8-bit images in [-1, 1], in [0, 1] and in [0, 255]."""
OFF_GRID = 2.0**-10
"""How far from its grid, in steps, a number may be."""
GRID_ROUNDING = 2.0**-14
"""What float32 can err in that, and more."""

BYTE_ALIGNMENT = 8
"""Accelerators multiply bytes in groups of this many."""


@dataclass(frozen=True, eq=False)
class HalfScreen(Screen):
    """Points in bfloat16."""

    name: ClassVar[str] = "bfloat16"

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the points."""
        return torch.bfloat16

    @property
    def slack(self) -> float:
        r"""The relative bound :math:`\varepsilon`; accelerators, which cut digits off, get four times u."""
        if self.center.is_cuda:
            return slack_of(len(self.center), 2.0**-21)
        return slack_of(len(self.center), 2.0**-24, stored=2.0**-8)

    def scores(self, x: Points, y: Points) -> Float[Tensor, "n m"]:
        """The lower bounds on squares, less the term of the row."""
        with torch.autocast(x.rows.device.type, enabled=False):
            if x.rows.is_cuda:
                product = torch.mm(-2 * x.rows, y.rows.T, out_dtype=torch.float32)
            else:
                product = torch.mm(-2 * x.rows, y.rows.T).float()
        return product.add_(((1 - self.slack) * y.squares).float())


@dataclass(frozen=True, eq=False)
class ByteScreen(Screen):
    """8-bit images as integers from -128 to 127, each `scale` apart."""

    name: ClassVar[str] = "int8"

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the points."""
        return torch.int8

    @property
    def width(self) -> int:
        """The number of coordinates, filled up for accelerators."""
        return -(-len(self.center) // BYTE_ALIGNMENT) * BYTE_ALIGNMENT

    @property
    def slack(self) -> float:
        """Products are exact; this is for norms and limits, which are float64."""
        return slack_of(len(self.center), 0.0)

    def rounded(
        self, points: Float[Tensor, "b d"]
    ) -> tuple[Int8[Tensor, "b d"], Float64[Tensor, " b"], Float64[Tensor, " b"]]:
        """Points as integers, their squared norms and their residuals."""
        levels, off = on_grid(points, float(self.center[0]), self.scale)
        rows = levels.to(torch.int8)
        residuals = (off.amax(dim=1).double() + GRID_ROUNDING) * math.sqrt(points.shape[1])
        return rows, rows.double().square_().sum(dim=1), residuals

    def scores(self, x: Points, y: Points) -> Int32[Tensor, "n m"]:
        """The squares of distances, less the term of the row."""
        product = torch._int_mm(x.rows, y.rows.T)
        squares = y.squares.clamp(max=torch.iinfo(torch.int32).max).to(torch.int32)
        return torch.sub(squares, product, alpha=2, out=product)


def on_grid(
    points: Float[Tensor, "b d"], center: float, step: float
) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d"]]:
    """The nearest levels of a grid, from -128 to 127 if on it, and how far off they are, in steps."""
    steps = points.to(torch.promote_types(points.dtype, torch.float32)).div(step).sub_(center / step)
    levels = steps.round()
    return levels, steps.sub_(levels).abs_()


@dataclass(frozen=True, eq=False)
class Survey:
    """What one reading of a set tells.

    Attributes:
        largest: No coordinate is larger in size.
        grids: Those of `GRIDS`, by number, that all coordinates are on.
        sketches: A number for every image, the same for equal ones; see `spurion.neighbors.copies`.
    """

    largest: float
    grids: frozenset[int]
    sketches: Int64[Tensor, " n"]


def survey(rows: Rows, name: str) -> Survey:
    """Read a set once.

    Raises:
        ValueError: If a value is NaN, infinite or too large to be squared.
    """
    largest, grids = 0.0, set(range(len(GRIDS)))
    sketches = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
    for piece, part in rows.parts():
        low, high = (float(end) for end in part.aminmax())
        if not -LARGEST_VALUE <= low <= high <= LARGEST_VALUE:  # false for NaN
            raise ValueError(
                f"`{name}` must hold finite numbers up to {LARGEST_VALUE:g} in size, got values from {low:g} "
                f"to {high:g}."
            )
        largest = max(largest, -low, high)
        grids = {i for i in grids if _is_on_grid(part, low, high, *GRIDS[i])}
        sketches[piece] = sketched(part)
    return Survey(largest, frozenset(grids), sketches)


def _is_on_grid(part: Float[Tensor, "b d"], low: float, high: float, center: float, step: float) -> bool:
    ends = [(end - center) / step for end in (low, high)]
    if not -128 - OFF_GRID <= ends[0] <= ends[1] <= 127 + OFF_GRID:
        return False
    return float(on_grid(part, center, step)[1].amax()) <= OFF_GRID


def screens_for(reference: Rows, surveys: tuple[Survey, Survey], engine: str) -> list[Screen]:
    """The screens of a search, from the one it starts with to float64.

    Arguments:
        reference: The set that is searched.
        surveys: Those of queries and reference.
        engine: One of `ENGINES`.

    Raises:
        ValueError: If the engine does not apply to these images or to this machine.
    """
    check_choice("engine", engine, ENGINES)
    device, dim = reference.device, reference.dim
    center, scale = middle(reference), unit(max(each.largest for each in surveys))
    double = FloatScreen(center, scale, torch.float64)
    if engine == "float64":
        return [double]
    on_bytes = _byte_screen(center, surveys, engine)
    if on_bytes is not None:
        return [on_bytes, double]
    single = [FloatScreen(center, scale)] if dim < LARGEST_DIM and floats_are_exact(device) else []
    if _halves_are_chosen(device, dim, engine):
        return [HalfScreen(center, scale), *single, double]
    if engine == "float32" and not single:
        raise ValueError(
            f"`engine` {engine} needs products in float32, and torch was told to compute them in less; leave "
            "`engine` out."
        )
    return [*single, double]


def _byte_screen(
    center: Float64[Tensor, " d"], surveys: tuple[Survey, Survey], engine: str
) -> ByteScreen | None:
    """The screen for 8-bit images, where it is asked for or the fastest."""
    if engine not in ("int8", "auto"):
        return None
    grids = sorted(surveys[0].grids & surveys[1].grids)
    if not grids or len(center) > LARGEST_BYTE_DIM or not bytes_are_exact(center.device):
        if engine == "auto":
            return None
        raise ValueError(
            f"`engine` int8 needs 8-bit images of at most {LARGEST_BYTE_DIM} numbers on both sides and a "
            "machine that multiplies bytes exactly; leave `engine` out."
        )
    if engine == "auto" and not bytes_are_fast(center.device):
        return None
    middle_level, step = GRIDS[grids[0]]
    return ByteScreen(torch.full_like(center, middle_level), step)


def _halves_are_chosen(device: torch.device, dim: int, engine: str) -> bool:
    """Whether a search starts in bfloat16: it is asked for, or to be had and the fastest."""
    if engine not in ("bfloat16", "auto"):
        return False
    to_be_had = dim < LARGEST_DIM and halves_are_summed_in_float32(device)
    if engine == "auto":
        return to_be_had and dim >= SMALLEST_HALF_DIM and halves_are_fast(device)
    if not to_be_had:
        raise ValueError("`engine` bfloat16 is not to be had for these images on this machine; leave it out.")
    return True


def floats_are_exact(device: torch.device) -> bool:
    """Whether float32 matrix products on this device are really computed in float32."""
    backend = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    return backend.matmul.fp32_precision in ("none", "ieee")


@cache
def halves_are_fast(device: torch.device) -> bool:
    """Whether this device has instructions for bfloat16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    own = torch.cpu.get_capabilities()
    return device.type == "cpu" and bool(own.get("avx512_bf16") or own.get("amx_bf16"))


@cache
def bytes_are_fast(device: torch.device) -> bool:
    """Whether this device has instructions for products of bytes."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    own = torch.cpu.get_capabilities()
    return device.type == "cpu" and bool(own.get("avx512_vnni") or own.get("amx_int8"))


@cache
def halves_are_summed_in_float32(device: torch.device) -> bool:
    """Whether bfloat16 products are summed in float32: else 4,096 small terms beside a large one are lost."""
    terms = torch.full((64, 4096), 2.0**-4, dtype=torch.bfloat16, device=device)
    terms[:, 0] = 2.0**15
    ones = torch.ones_like(terms)
    return bool((torch.mm(terms, ones.T).float() == 2.0**15 + 2.0**8).all())


@cache
def bytes_are_exact(device: torch.device) -> bool:
    """Whether products of bytes are exact: on some processors sums of extreme values saturate."""
    ends = torch.tensor([-128, 127], dtype=torch.int8, device=device)
    rows = ends[torch.arange(64, device=device) % 2][:, None].repeat(1, LARGEST_BYTE_DIM)
    expected = LARGEST_BYTE_DIM * torch.outer(rows[:, 0].long(), rows[:, 0].long())
    try:
        return torch.equal(torch._int_mm(rows, rows.T).long(), expected)
    except RuntimeError:  # devices without such a product
        return False
