"""The checker that all other tests rely on: it finds what is wrong, in every kind of function."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from spurion.core.arguments import check_choice
from spurion.diffusion.samplers import sample
from spurion.statistics import intervals
from typechecking import checked


@checked
def scaled(x: Float[Tensor, "n d"], by: Float[Tensor, " n"], shift: float = 0.0) -> Float[Tensor, "n d"]:
    return (x * by[:, None] + shift)[: 3 if shift < 10 else 2]


@checked
def rows(x: Float[Tensor, "n d"], by: Float[Tensor, " n"]) -> Iterator[Float[Tensor, " d"]]:
    yield from x * by[:, None]


@checked
@dataclass
class Sample:
    images: Float[Tensor, "n d"]
    count: int


X = torch.zeros(3, 2)


def test_what_is_right_passes_and_names_are_kept():
    assert scaled(X, torch.ones(3), 1).equal(X + 1)  # int where float is asked
    assert scaled.__name__ == "scaled"
    assert Sample(X, 3).count == 3


@pytest.mark.parametrize(
    "call",
    [
        lambda: scaled(X, torch.ones(2)),  # n is 3 and 2
        lambda: scaled(X, torch.ones(3, 1)),
        lambda: scaled(X.long(), torch.ones(3)),
        lambda: scaled(X, torch.ones(3), "1"),
        lambda: scaled(X, torch.ones(3), 10.0),  # an answer of two rows
        lambda: Sample(X, 3.0),
        lambda: Sample(X[0], 3),
    ],
)
def test_what_is_wrong_is_refused(call):
    with pytest.raises(BeartypeCallHintViolation):
        call()


def test_a_generator_is_checked_when_it_is_made():
    assert len(list(rows(X, torch.ones(3)))) == 3
    with pytest.raises(TypeCheckError, match="by"):
        rows(X, torch.ones(2))


def test_what_only_type_checkers_know_is_not_checked():
    def kept(x: "Unknown", count: "int") -> "Unknown":
        return x

    assert checked(kept)(1, 2) == 1
    with pytest.raises(BeartypeCallHintViolation):
        checked(kept)(1, "2")


def test_axes_of_one_call_say_nothing_of_the_next():
    for count in (3, 2):
        assert scaled(X[:count], torch.ones(count)).shape == (count, 2)


def test_the_whole_package_is_checked():
    with pytest.raises(BeartypeCallHintViolation):
        check_choice("kind", "a", 1)
    with pytest.raises(BeartypeCallHintViolation):
        sample(None, 1)
    loaders = {name: type(module.__spec__.loader).__module__ for name, module in sys.modules.items()
               if name.partition(".")[0] == "spurion"}  # fmt: skip
    assert intervals.__name__ in loaders
    assert set(loaders.values()) == {"typechecking"}
