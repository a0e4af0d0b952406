"""Stored results that lie: deterministic changes of one value in the JSON text of a valid result."""

import json
import random
from collections.abc import Iterator
from typing import Any

EVIL = "</script><b>`{{7*7}}{% raw %}$x^$\\frac{\u202e\u200f\x00\x1b[2J\x9b\n'\"&é😀"
"""Markup, templates, mathematics, directions of reading, and what steers a terminal."""

VALUES: tuple[Any, ...] = (
    *(None, True, "", EVIL, "never", "5", [], {}, [[]], {"a": 1}),
    *(-1, 0, 1, 3, 2**31, 2**63, 10**20, 10**90, 0.5, 1.5, 1e-300, 5e-324, 1e300, -1e308, -0.0),
)

TEXTS = (
    *("NaN", "-Infinity", "1e400", "1" * 5000, '"\\ud800"', '{"a": 1, "a": 2}', "[" * 100_000),
    *('{"a":' * 100_000, "[" + "0," * 12_000 + "0]", '"' + "x" * 300_000 + '"'),
)
"""Values as JSON text that `json.dumps` would not write."""


def mutants(values: dict[str, Any], count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Some changes: where and what, and the whole JSON text."""
    draw = random.Random(seed)
    paths = list(_paths(values))
    for number in range(count):
        path = paths[number % len(paths)]
        change = draw.choice(_changes(_at(values, path)))
        yield f"{'.'.join(map(str, path))}: {change:.40}", _with(values, path, change)


def _changes(value: Any) -> list[str]:
    """Texts that may stand in the place of a value; an empty one takes it away."""
    found: list[Any] = [*VALUES]
    if isinstance(value, list):
        found += [
            value[:-1],
            value[::-1],
            value + value[-1:],
            value * 1000,
            [None] * len(value),
            ["a"] * len(value),
        ]
    if isinstance(value, dict):
        found += [{**value, "surprise": 1}, {EVIL: 1, **value}]
    if isinstance(value, int | float):
        found += [value * 10, -value, value + 1, value / 1000, value * 10**6]
    return [*map(json.dumps, found), *TEXTS, ""]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Everywhere in a result; of a list, its first and last entry."""
    if path:
        yield path
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        if not isinstance(value, list) or key in (0, len(value) - 1):
            yield from _paths(value[key], (*path, key))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _with(values: dict[str, Any], path: tuple[Any, ...], text: str) -> str:
    copy = json.loads(json.dumps(values))
    *before, last = path
    if text:
        _at(copy, tuple(before))[last] = "@@"
    else:
        del _at(copy, tuple(before))[last]
    return json.dumps(copy).replace('"@@"', text, 1)
