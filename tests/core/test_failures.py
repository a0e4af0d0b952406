import pytest
import torch

from spurion.core.failures import FAILURES, Losses, one_sentence, out_of_memory


def test_one_line():
    assert one_sentence(ValueError("two\n  lines")) == "two lines"
    assert one_sentence(ZeroDivisionError()) == "ZeroDivisionError"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_want_of_memory_is_said_as_such(error):
    assert out_of_memory(error)
    assert one_sentence(error).startswith("Out of memory; try")


def test_other_errors_are_no_want_of_memory():
    assert not out_of_memory(RuntimeError("memory format"))


def test_losses_are_gathered_by_reason_and_place():
    losses = Losses()
    for where in ("here", "there"):
        with losses.alone("depth", "width", where=where):
            raise RuntimeError("no way")
    with losses.alone("length"):
        raise ValueError("too long")
    with losses.alone("height"):
        pass
    assert losses.sentences() == ("No depth, width at here, there: no way", "No length: too long")


@pytest.mark.parametrize("error", [KeyboardInterrupt, KeyError, OSError, TypeError, AssertionError])
def test_what_is_no_failure_of_numbers_goes_on(error):
    with pytest.raises(error), Losses().alone("depth"):
        raise error
    assert not issubclass(error, FAILURES)
