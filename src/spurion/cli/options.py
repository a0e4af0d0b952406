"""Options that several verbs share."""

__all__ = [
    "SAMPLES",
    "AllowDownload",
    "AsJson",
    "Cache",
    "Clip",
    "ComputeDevice",
    "Device",
    "DeviceOption",
    "Distance",
    "Holdout",
    "ModelFolder",
    "Overrides",
    "Resize",
    "Seed",
    "Thresholds",
    "Train",
    "ValueRange",
    "Weights",
    "value_range_of",
    "with_options",
]

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Device(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")]
AllowDownload = Annotated[
    bool,
    typer.Option("--allow-download", help="Download a data set or weights that are not on this machine yet."),
]
DeviceOption = Annotated[
    Device | None, typer.Option("--device", help="Where to compute; auto takes the fastest there is.")
]
ComputeDevice = Annotated[Device, typer.Option("--device", help="Where to compute.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Set a field of the configuration, such as training.iterations=500; may be repeated.",
    ),
]
Distance = Annotated[str, typer.Option("--distance", help="The distance, by name.")]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="FILE|DIR|random:SEED",
        help="For lpips-*, st-lpips-*: weights, if not in the usual places. For features: the vectors.",
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Keep the vectors of (st-)lpips-* here, for later runs."),
]
Resize = Annotated[
    int | None,
    typer.Option("--resize", min=1, help="Crop the central square and resize it to this height and width."),
]
ValueRange = Annotated[
    list[str] | None,
    typer.Option(
        "--value-range",
        metavar="[SET=]A,B",
        help="What stands for black and white in arrays of floats, as 0,1; for one set, as train=0,255.",
    ),
]
Clip = Annotated[
    bool, typer.Option("--clip", help="Clip values of arrays outside their range, instead of refusing them.")
]
Train = Annotated[str, typer.Option("--train", metavar="SRC", help="The images a model was trained on.")]
SAMPLES = typer.Option("--samples", metavar="SRC", help="Samples of the model.")
"""Needed by one verb, left out at will in another."""
Holdout = Annotated[
    str | None, typer.Option("--holdout", metavar="SRC", help="Images of the same kind it never saw.")
]
ModelFolder = Annotated[
    Path, typer.Argument(metavar="MODEL_DIR", help="A model folder, or one with a folder `model` in it.")
]
Thresholds = Annotated[
    str | None,
    typer.Option(
        "--thresholds",
        metavar="RULE",
        help="null:ALPHA, holdout:ALPHA, fixed:DM,DS, or valley, which only describes; else null:0.01.",
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of all random numbers.")]


def value_range_of(texts: list[str] | None) -> tuple[float, float] | dict[str, tuple[float, float]] | None:
    """Read a range such as "0,1", or ranges such as "train=0,255" by the set they are for.

    Raises:
        ValueError: If a text is none, or they do not go together.
    """
    if not texts:
        return None
    ranges: dict[str, tuple[float, float]] = {}
    for text in texts:
        name, _, ends = text.rpartition("=")
        try:
            low, high = map(float, ends.split(","))
        except ValueError:
            raise ValueError(f"`--value-range` must look like 0,1 or samples=0,1, got {text:.40}.") from None
        ranges[name] = low, high
    if "" not in ranges:
        return ranges
    if len(texts) > 1:
        raise ValueError("`--value-range` must be one range for all sets, or SET=A,B for every one.")
    return ranges[""]


def with_options(
    overrides: list[str] | None, fields: Mapping[str, str | int | list[int] | None]
) -> list[str]:
    """Overrides of a configuration, followed by those that options of their own stand for.

    Arguments:
        overrides: Texts of the form ``field=value``.
        fields: Values of options by the name of their field; None where the option was not given.
    """
    given = [f"{field}={json.dumps(value)}" for field, value in fields.items() if value is not None]
    return [*(overrides or []), *given]
