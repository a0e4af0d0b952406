"""Options that several verbs share."""

__all__ = [
    "SAMPLES",
    "AllowDownload",
    "AsJson",
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
        help="For lpips-*: its weights, if they are not in the usual places. For features: the vectors.",
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Keep the vectors of lpips-* here, for later runs."),
]
Resize = Annotated[
    int | None,
    typer.Option("--resize", min=1, help="Crop the central square and resize it to this height and width."),
]
ValueRange = Annotated[
    str | None,
    typer.Option("--value-range", metavar="A,B", help="What stands for black and white in arrays of floats."),
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
        help="fixed:DM,DS, valley or holdout:ALPHA; else holdout:0.01 with --holdout, valley without.",
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of all random numbers.")]


def value_range_of(text: str | None) -> tuple[float, float] | None:
    """Read a range such as "0,1".

    Raises:
        ValueError: If it is none.
    """
    if text is None:
        return None
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise ValueError(f"`--value-range` must look like 0,1, got {text:.40}.") from None
    return low, high


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
