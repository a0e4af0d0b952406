"""Fields with several values and seeds, as texts of a command line."""

__all__ = ["parse_over", "parse_seeds"]

from collections.abc import Sequence
from typing import Any

from spurion.core.plain import parse_yaml


def parse_over(texts: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Read fields and their values, as ``field=value,value`` with values in YAML, or a YAML list of them.

    Example:
        >>> parse_over(["denoiser.width=32,64", "sample_size=4x,8x", "thresholds=['fixed:1,1', 'null:0.01']"])
        {'denoiser.width': (32, 64), 'sample_size': ('4x', '8x'), 'thresholds': ('fixed:1,1', 'null:0.01')}

    Raises:
        ValueError: If a text is not of that form, or a field is named twice.
    """
    over: dict[str, tuple[Any, ...]] = {}
    for text in texts:
        field, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not field or not values:
            raise ValueError(
                f"`--over` takes field=value,value, such as denoiser.width=32,64,128, got {text!r:.80}."
            )
        if field in over:
            raise ValueError(f"`--over` names the field `{field}` twice; give all of its values at once.")
        over[field] = _listed("--over", text, values)
    return over


def parse_seeds(text: str | None) -> tuple[int, ...]:
    """Read seeds such as 0,1,2; none of None.

    Raises:
        ValueError: If the text is no list of whole numbers.
    """
    found = () if text is None else _listed("--seeds", text, text)
    if any(type(seed) is not int for seed in found):
        raise ValueError(
            f"`--seeds` must be whole numbers with commas between, such as 0,1,2, got {text!r:.80}."
        )
    return found


def _listed(option: str, text: str, values: str) -> tuple[Any, ...]:
    try:
        found = parse_yaml(values if values.startswith("[") else f"[{values}]")
    except ValueError as error:
        raise ValueError(f"`{option} {text:.80}`: the values are not valid YAML: {error}.") from None
    if not isinstance(found, list) or not found:
        raise ValueError(f"`{option}` must have at least one value, got {text!r:.80}.")
    return tuple(found)
