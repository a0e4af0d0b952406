from typing import Annotated, Literal

import pytest
from pydantic import Field, field_validator

from spurion.core.config import Config, build_config


class Inner(Config):
    size: int = Field(3, ge=1)


class Outer(Config):
    name: str
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"name": "a", "inner": {"size": 0}},
            r"^`inner.size`: input should be greater than or equal to 1, got 0\.$",
        ),
        ({"name": "a", "inner": {"sise": 2}}, r"^there is no field `inner.sise`\.$"),
        ({}, r"^the field `name` is missing\.$"),
        ({"name": "a", "inner": {"size": "x"}}, r"^`inner.size`: .*, got 'x'\.$"),
    ],
)
def test_bad_values_become_one_sentence(values, message):
    with pytest.raises(ValueError, match=message):
        build_config(Outer, values)


class Branches(Config):
    sizes: tuple[Annotated[int, Field(ge=1)] | Literal["all"], ...]
    rule: str = "a"

    @field_validator("rule")
    @classmethod
    def _known(cls, value):
        raise ValueError(f"must be a or b, got {value!r}")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sizes": [2, 0]}, r"^`sizes\.1`: input should be greater than or equal to 1, got 0\.$"),
        ({"sizes": [2], "rule": "c"}, r"^`rule`: must be a or b, got 'c'\.$"),
    ],
)
def test_branches_of_unions_are_left_out_and_what_was_got_is_said_once(values, message):
    with pytest.raises(ValueError, match=message):
        build_config(Branches, values)


def test_the_sentence_names_where_the_values_came_from():
    with pytest.raises(ValueError, match=r"^my.yaml: the field `name` is missing\.$"):
        build_config(Outer, {}, "my.yaml")


def test_configurations_are_frozen():
    config = build_config(Outer, {"name": "a"})
    assert config.inner.size == 3
    with pytest.raises(ValueError, match="frozen"):
        config.name = "b"
