"""Where and how a training runs: device, precision, memory layout, compilation.

Every ``auto`` is resolved here, once, before step 0:

=============== ================ ====================================== =========
field           CPU              CUDA                                   MPS
=============== ================ ====================================== =========
precision       bf16 for         bf16 where the device has it           float32
                convolutions
channels_last   no               yes for images, if compiled            no
compile         no               yes where Triton and a compiler exist  no
=============== ================ ====================================== =========

On a CPU bf16 needs a processor that computes in it (AVX512-BF16, AMX, or bf16 of Arm), and is for networks
with convolutions: narrow linear layers gain less than the conversions cost. A training that was begun in one
precision goes on in it (`Execution.as_begun`): ``auto`` chooses for new ones.

On CUDA torch normalizes groups with channels first: with channels last every layer is copied twice, unless
the compiler writes the layers anew. Compiled steps may add in another order each time, so that a training
that is resumed there is the same to rounding only; set `compile` to false for the same bytes.

On CUDA the steps are then recorded and replayed as one graph (`spurion.diffusion.captured`), compiled or not.
"""

__all__ = ["DeviceName", "Execution", "Precision", "choose_device", "choose_execution"]

import importlib.util
import shutil
import sysconfig
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bf16"]


@dataclass(frozen=True)
class Execution:
    """How a training runs, with nothing left to choose; part of what a checkpoint belongs to."""

    device: str
    bf16: bool
    channels_last: bool
    compile: bool

    def as_begun(self, begun: Mapping[str, Any] | None, chosen: Collection[str]) -> "Execution":
        """This execution with what was chosen automatically as a training was begun, if nothing else differs.

        So a training goes on where another version, or another processor, chose otherwise.

        Arguments:
            begun: The fields of the execution it was begun with; None if it was not.
            chosen: The fields that were left to choose: "bf16", "channels_last", or both.
        """
        free = {name: begun[name] for name in chosen if name in begun} if begun else {}
        other = replace(self, **free)
        return other if begun == asdict(other) else self

    @contextmanager
    def reproducible(self) -> Iterator[None]:
        """Let the same step give the same bits: deterministic kernels, and global generators of its own.

        Layers that draw random numbers, such as dropout, use torch's global generators. They may be
        reseeded inside; on leaving, they are as they were.
        """
        cuda = [torch.cuda.current_device()] if self.device == "cuda" else []
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(devices=cuda))
            if cuda:
                stack.enter_context(torch.backends.cudnn.flags(enabled=True, deterministic=True))
                stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            yield


def choose_device(name: DeviceName) -> torch.device:
    """Resolve a device name; ``auto`` is CUDA, else MPS, else the CPU.

    Raises:
        ValueError: If the device asked for is not there.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, here in present.items() if here))
    if not present[name]:
        raise ValueError(f"`device` is {name}, but torch finds no such device here; use auto or cpu.")
    return torch.device(name)


def choose_execution(
    device: DeviceName,
    precision: Precision,
    channels_last: bool | Literal["auto"],
    compiled: bool | Literal["auto"],
    shape: tuple[int, ...],
    *,
    convolutions: bool = False,
) -> Execution:
    """Resolve every ``auto`` for items of one shape and a network with or without convolutions.

    Raises:
        ValueError: If the device is not there, if channels are to come last in items without channels,
            or if a compiler is asked for and none is found.
    """
    kind = choose_device(device).type
    images = len(shape) == 3
    if channels_last is True and not images:
        raise ValueError(f"`channels_last` needs images with shape (C, H, W), got items with shape {shape}.")
    if compiled is True and not _compiler(kind):
        raise ValueError(
            f"`compile` needs a C++ compiler and Python.h (and Triton on CUDA), not found for {kind}; set it "
            "to auto."
        )
    cuda = kind == "cuda"
    compiles = (cuda and _compiler(kind)) if compiled == "auto" else compiled
    pays = torch.cuda.is_bf16_supported(including_emulation=False) if cuda else kind == "cpu" and convolutions
    return Execution(
        device=kind,
        bf16=pays and (cuda or _processor_has_bf16()) if precision == "auto" else precision == "bf16",
        channels_last=(cuda and images and compiles) if channels_last == "auto" else channels_last,
        compile=compiles,
    )


def _processor_has_bf16() -> bool:
    own = torch.cpu.get_capabilities()
    return any(own.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _compiler(kind: str) -> bool:
    compiler = any(shutil.which(name) for name in ("c++", "g++", "clang++"))
    headers = Path(sysconfig.get_path("include"), "Python.h").is_file()
    triton = kind != "cuda" or importlib.util.find_spec("triton") is not None
    return compiler and headers and triton
