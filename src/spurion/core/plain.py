"""Plain values from JSON and YAML that anyone may have written: numbers, texts, lists and mappings.

Both formats can say what no program expects: a number of a million digits, lists nested until the stack
ends, a few hundred bytes that stand for billions of values, a key twice, a text that no file can hold.
Whatever passes here has none of that.
"""

__all__ = ["parse_json", "parse_yaml"]

import json
import math
from collections.abc import Hashable, Iterable
from typing import Any, ClassVar

import yaml

MOST_DIGITS = 100
"""Digits of the longest whole number; every such number is also a finite float."""

MOST_DEEP = 64
"""Lists and mappings inside each other."""

MOST_VALUES = 5_000_000
"""Values of one JSON text, its lists and mappings counted."""

MOST_YAML = 20_000
"""Values of one YAML text, each alias counted as all that it stands for."""


def parse_json(text: str, *, constants: bool = False) -> Any:
    """Parse JSON.

    Arguments:
        text: The text.
        constants: Whether NaN and the infinities may be there, as Python writes them; the fields decide.

    Raises:
        ValueError: If it is not JSON, holds a number that is not finite or of too many digits, a key twice,
            half of a surrogate pair, or too much; the reason is a phrase for the sentence of the caller.

    Example:
        >>> parse_json('{"a": NaN}')
        Traceback (most recent call last):
        ValueError: NaN is no finite number
    """
    if sum(map(text.count, ",[{")) >= MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES:,} values")
    try:
        values = json.loads(
            text,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=float if constants else _finite,
            object_pairs_hook=_mapping,
        )
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check(values, MOST_VALUES)
    return values


def parse_yaml(text: str) -> Any:
    r"""Parse YAML, plain values only.

    Raises:
        ValueError: As for `parse_json`, aliases that stand for too much included. Infinity and NaN are left
            to the fields, which refuse them by name.

    Example:
        >>> parse_yaml("a: &x [1, 2]\nb: *x")
        {'a': [1, 2], 'b': [1, 2]}
    """
    try:
        values = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{' '.join(str(error).split()):.200}") from None
    except KeyError as error:
        raise ValueError(f"{error} does not fit its tag") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check(values, MOST_YAML)
    return values


_TOO_DEEP = f"lists and mappings nested more than {MOST_DEEP} deep"


_YAML = "tag:yaml.org,2002:"
_TAGS = [_YAML + name for name in ("null", "bool", "int", "float", "str", "seq", "map")]


class _Loader(yaml.SafeLoader):
    """The safe loader without dates, sets and merges; a key twice is an error."""

    yaml_constructors: ClassVar = {
        tag: make for tag, make in yaml.SafeLoader.yaml_constructors.items() if tag is None or tag in _TAGS
    }
    yaml_implicit_resolvers: ClassVar = {  # type: ignore[misc]
        first: [(tag, pattern) for tag, pattern in rules if tag in _TAGS]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Hashable, Any]:
        if isinstance(node, yaml.MappingNode):
            _check_keys(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        return super().construct_mapping(node, deep)  # type: ignore[arg-type]

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        _check_digits(node.value)
        return self.construct_yaml_int(node)


_Loader.add_constructor(_YAML + "int", _Loader.construct_whole)


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        _check_keys([key for key, _ in pairs])
    return values


def _check_keys(keys: Iterable[str]) -> None:
    seen = set()
    for key in keys:
        if key in seen:
            raise ValueError(f"the key {key!r:.80} is there twice")
        seen.add(key)


def _whole(text: str) -> int:
    _check_digits(text)
    return int(text)


def _check_digits(text: str) -> None:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a whole number of {len(text):,} digits")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.40} is no finite number")
    return value


def _check(values: Any, most: int) -> None:
    """Refuse what is too deep, too much, or a text that cannot be written."""
    level, count = [values], 1
    for _ in range(MOST_DEEP):
        deeper: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                deeper += value
                deeper += value.values()
            elif isinstance(value, list):
                deeper += value
            elif isinstance(value, str) and not value.isascii():
                _check_text(value)
            if count + len(deeper) > most:
                raise ValueError(f"more than {most:,} values")
        if not deeper:
            return
        level, count = deeper, count + len(deeper)
    raise ValueError(_TOO_DEEP)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"half of a surrogate pair, {text[error.start]!a}, which is no character") from None
