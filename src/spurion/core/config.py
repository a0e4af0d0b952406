"""Configurations: frozen, self-validating, and without fields that nobody reads.

Every component has one subclass of `Config`. A misspelt or unused field is an error, never silence;
a bad value becomes one sentence that names the field, what it must be and what it got.
"""

__all__ = ["Config", "build_config"]

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError


class Config(BaseModel):
    """Base class of all configurations: frozen, no unknown fields, JSON in and out."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


ConfigT = TypeVar("ConfigT", bound=BaseModel)


def build_config(kind: type[ConfigT], values: Mapping[str, Any], where: str = "") -> ConfigT:
    """Validate plain values into a configuration.

    Arguments:
        kind: The configuration class.
        values: Plain values, as read from YAML or JSON.
        where: What the values are (a file name, say), for the message.

    Raises:
        ValueError: One sentence that names the first bad field, its rule and what was got.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ValueError(_sentence(error, where)) from None


def _sentence(error: ValidationError, where: str) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ").rstrip(".")
    prefix = f"{where}: " if where else ""
    if first["type"] == "extra_forbidden":
        return f"{prefix}there is no field `{field}`."
    if first["type"] == "missing":
        return f"{prefix}the field `{field}` is missing."
    if not field:
        return f"{prefix}{reason}."
    return f"{prefix}`{field}`: {reason[:1].lower()}{reason[1:]}, got {first['input']!r:.80}."
