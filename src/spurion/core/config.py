"""Configurations: frozen, self-validating, and without fields that nobody reads.

Every component has one subclass of `Config`. A misspelt or unused field is an error, never silence;
a bad value becomes one sentence that names the field, what it must be and what it got.
"""

__all__ = ["Config", "StoredResult", "build_config"]

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from spurion.core.text import printable

LONGEST_TEXT = 100_000
"""Characters of the longest text that a field takes."""


class Config(BaseModel):
    """Base class of all configurations: frozen, no unknown fields, JSON in and out."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        str_max_length=LONGEST_TEXT,
    )


class StoredResult(Config):
    """Base class of results that are files of their own; their field `schema_` is `schema` in the file."""

    model_config = ConfigDict(populate_by_name=True)

    def to_json(self) -> dict[str, Any]:
        """Plain values as the file holds them, with the schema first."""
        values = self.model_dump(mode="json", by_alias=True)
        return {"schema": values["schema"], **values}


ConfigT = TypeVar("ConfigT", bound=BaseModel)


def build_config(kind: type[ConfigT], values: Any, where: str = "") -> ConfigT:
    """Validate plain values into a configuration.

    Arguments:
        kind: The configuration class.
        values: Plain values, as read from YAML or JSON; anything but a mapping is refused.
        where: What the values are (a file name, say), for the message.

    Raises:
        ValueError: One sentence that names the first bad field, its rule and what was got.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ValueError(_sentence(error, values, where)) from None


def _sentence(error: ValidationError, values: Any, where: str) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    field = _field(first["loc"], values, missing=first["type"] == "missing")
    reason = first["msg"].removeprefix("Value error, ").rstrip(".")
    prefix = f"{where}: " if where else ""
    if first["type"] == "extra_forbidden":
        return f"{prefix}there is no field `{field}`."
    if first["type"] == "missing":
        return f"{prefix}the field `{field}` is missing."
    if not field:
        return f"{prefix}{reason}."
    got = "" if ", got " in reason else f", got {first['input']!r:.80}"
    return f"{prefix}`{field}`: {reason[:1].lower()}{reason[1:]}{got}."


def _field(location: tuple[int | str, ...], values: Any, *, missing: bool) -> str:
    """The path of a field as its user wrote it, without the branches of unions that pydantic tried."""
    parts = []
    for depth, part in enumerate(location):
        listed = isinstance(values, Sequence) and isinstance(part, int) and part < len(values)
        if listed or (isinstance(values, Mapping) and part in values):
            values = values[part]
        elif not (missing and depth == len(location) - 1):
            continue
        parts.append(str(part))
    return f"{printable('.'.join(parts)):.160}"
