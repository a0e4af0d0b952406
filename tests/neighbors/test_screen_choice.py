"""Which screens a search uses, and what it trusts."""

import pytest
import torch

from spurion.core.random import generator
from spurion.neighbors.rows import Rows
from spurion.neighbors.screens import (
    bytes_are_exact,
    bytes_are_fast,
    floats_are_exact,
    halves_are_fast,
    halves_are_summed_in_float32,
    screens_for,
    survey,
)

CPU = torch.device("cpu")


def clouds():
    draw = generator(0, "clouds")
    return tuple(torch.randn(count, 48, generator=draw, dtype=torch.float64) for count in (30, 40))


def pictures():
    """Bytes in [-1, 1], and the same in [0, 1]."""
    values = torch.randint(0, 256, (30, 48), generator=generator(0, "pictures"))
    return values / 127.5 - 1, values / 255


class TestChoice:
    @staticmethod
    def names(x, y, engine="auto"):
        surveys = survey(Rows(x), "queries"), survey(Rows(y), "reference")
        return [screen.name for screen in screens_for(Rows(y), surveys, engine)]

    @pytest.fixture
    def fast(self, monkeypatch):
        """A machine with all instructions."""
        for name in ("halves_are_fast", "bytes_are_fast"):
            monkeypatch.setattr(f"spurion.neighbors.screens.{name}", lambda device: True)

    @pytest.fixture
    def slow(self, monkeypatch):
        """A machine with none."""
        for name in ("halves_are_fast", "bytes_are_fast"):
            monkeypatch.setattr(f"spurion.neighbors.screens.{name}", lambda device: False)

    def test_fast_machine(self, fast):
        assert self.names(*clouds()) == ["bfloat16", "float32", "float64"]
        assert self.names(*pictures()[:1] * 2) == ["int8", "float64"]

    def test_slow_machine(self, slow):
        assert self.names(*clouds()) == ["float32", "float64"]
        assert self.names(*pictures()[:1] * 2) == ["float32", "float64"]
        assert self.names(*pictures()[:1] * 2, "int8") == ["int8", "float64"]
        assert self.names(*clouds(), "bfloat16") == ["bfloat16", "float32", "float64"]

    def test_both_sides_must_be_on_the_same_grid(self, fast):
        bytes_, ones = pictures()
        assert self.names(bytes_, ones)[0] != "int8"
        assert self.names(bytes_, clouds()[1].float())[0] != "int8"
        assert self.names(clouds()[1].float(), bytes_)[0] != "int8"
        off = bytes_.clone()
        off[3, 4] += 1e-4  # an 80th of a step
        assert self.names(off, bytes_)[0] != "int8"
        beyond = bytes_.clone()
        beyond[0, 0] = 1 + 1 / 127.5
        assert self.names(beyond, bytes_)[0] != "int8"

    def test_explicit_engines(self):
        x, y = clouds()
        assert self.names(x, y, "float64") == ["float64"]
        assert self.names(x, y, "float32") == ["float32", "float64"]
        with pytest.raises(ValueError, match="`engine` int8 needs 8-bit images of at most 32768 numbers"):
            self.names(x, y, "int8")
        with pytest.raises(ValueError, match=r"`engine` must be one of auto, .*, int8, got 'fast'"):
            self.names(x, y, "fast")

    def test_very_long_rows_are_screened_in_double_precision(self, fast):
        rows = torch.ones(1, 2**22) * 0.3
        assert self.names(rows, rows) == ["float64"]
        assert self.names(rows[:, 1:], rows[:, 1:]) == ["bfloat16", "float32", "float64"]
        with pytest.raises(ValueError, match="`engine` bfloat16 is not to be had"):
            self.names(rows, rows, "bfloat16")
        ones = torch.ones(1, 2**15 + 1)
        assert self.names(ones, ones)[0] == "bfloat16"
        assert self.names(ones[:, 1:], ones[:, 1:])[0] == "int8"

    def test_short_rows_are_not_halved(self, fast):
        rows = torch.full((1, 31), 0.3)
        assert self.names(rows, rows)[0] == "float32"
        assert self.names(rows.expand(1, 31).repeat(1, 2)[:, :32], rows.repeat(1, 2)[:, :32])[0] == "bfloat16"

    def test_products_that_are_not_what_they_should_be(self, fast, monkeypatch):
        monkeypatch.setattr("spurion.neighbors.screens.bytes_are_exact", lambda device: False)
        monkeypatch.setattr("spurion.neighbors.screens.halves_are_summed_in_float32", lambda device: False)
        assert self.names(*pictures()[:1] * 2) == ["float32", "float64"]
        with pytest.raises(ValueError, match="`engine` int8"):
            self.names(*pictures()[:1] * 2, "int8")
        with pytest.raises(ValueError, match="`engine` bfloat16"):
            self.names(*clouds(), "bfloat16")


def test_probes_notice_inexact_products(monkeypatch):
    assert bytes_are_exact(CPU)
    assert halves_are_summed_in_float32(CPU)
    saturating = lambda x, y: (x.int() @ y.int()).clamp(max=2**15 - 1)  # noqa: E731
    monkeypatch.setattr(torch, "_int_mm", saturating)
    assert not bytes_are_exact.__wrapped__(CPU)
    product = torch.mm

    def in_steps(x, y):  # 1,024 terms at a time, the sum kept in eight bits
        total = torch.zeros(x.shape[0], y.shape[1], dtype=x.dtype)
        for start in range(0, x.shape[1], 1024):
            total += product(x[:, start : start + 1024].float(), y[start : start + 1024].float()).to(x.dtype)
        return total

    monkeypatch.setattr(torch, "mm", in_steps)
    assert not halves_are_summed_in_float32.__wrapped__(CPU)


@pytest.mark.parametrize(
    ("probe", "names"),
    [(halves_are_fast, ("avx512_bf16", "amx_bf16")), (bytes_are_fast, ("avx512_vnni", "amx_int8"))],
)
def test_instructions_of_the_processor_count_for_it_alone(monkeypatch, probe, names):
    for has_it in ({}, {name: False for name in names}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda own=has_it: own)
        assert not probe.__wrapped__(CPU)
    for name in names:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda own=name: {own: True})
        assert probe.__wrapped__(CPU)
        assert not probe.__wrapped__(torch.device("mps"))


@pytest.mark.parametrize(
    ("backend", "precision", "device"),
    [(torch.backends.mkldnn.matmul, "bf16", "cpu"), (torch.backends.cuda.matmul, "tf32", "cuda")],
)
def test_low_precision_of_the_device_s_own_products_counts(backend, precision, device):
    other = {"cpu": "cuda", "cuda": "cpu"}[device]
    before = backend.fp32_precision
    try:
        backend.fp32_precision = precision
        assert not floats_are_exact(torch.device(device))
        assert floats_are_exact(torch.device(other))
        backend.fp32_precision = "ieee"
        assert floats_are_exact(torch.device(device))
    finally:
        backend.fp32_precision = before
