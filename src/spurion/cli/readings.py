"""What the terminal shows, and the files hold, of measures at images."""

__all__ = ["Readings", "readings_as_json", "show_readings", "write_values"]

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spurion.cli.show import say, show_source, show_table, source_values

if TYPE_CHECKING:
    from spurion.data import ImageSet
    from spurion.geometry import Measured, Setting
    from spurion.geometry.groups.results import GroupReading, Reading, ScanResult

COLUMNS = ("measure", "median", "95 % interval", "unit", "measured")


@dataclass(frozen=True)
class Readings:
    """Measures at images, and how they were taken.

    Attributes:
        found: The values at each image, by the name of the measure.
        images: The images.
        train: The training images at which the noise was chosen; None if it was given.
        setting: How the measures were taken.
        scan: The scan that chose the noise; None if it was given.
        failures: Which measures failed, and why.
        notes: What to know of the values.
    """

    found: "dict[str, Measured]"
    images: "ImageSet"
    train: "ImageSet | None"
    setting: "Setting"
    scan: "ScanResult | None"
    failures: tuple[str, ...]
    notes: tuple[str, ...]


def write_values(path: Path, readings: Readings) -> None:
    """Write a row for each measure of each image; a value that does not exist is empty."""
    from spurion.core.files import atomic_write

    names = readings.images.item_names
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("index", "name", "measure", "value", "status"))
        for measure, measured in readings.found.items():
            for index, (number, status) in enumerate(_points(measured)):
                text = "" if number is None else repr(number)
                writer.writerow([index, names[index] if names else "", measure, text, status])


def _points(measured: "Measured") -> list[tuple[float | None, str]]:
    """Value and status of each image; no value where the status says why."""
    from spurion.geometry import STATUSES

    pairs = zip(measured.values.tolist(), measured.status.tolist(), strict=True)
    return [(value if math.isfinite(value) else None, STATUSES[status]) for value, status in pairs]


def readings_as_json(readings: Readings) -> dict[str, Any]:
    """All values, and how they were taken, as plain values."""
    from spurion.geometry import MEASURES
    from spurion.geometry.groups.summary import reading

    setting, scan = readings.setting, readings.scan
    return {
        "images": source_values(readings.images),
        "train": readings.train and source_values(readings.train),
        "distance": setting.distance.info.model_dump(),
        "tolerance": setting.tolerance,
        "clip": setting.basins.clip,
        "steps": setting.basins.steps,
        "noise": setting.noise,
        "scan": scan and scan.model_dump(mode="json"),
        "notes": [*readings.failures, *readings.notes],
        "measures": {
            name: {
                "unit": MEASURES[name].unit,
                "source": MEASURES[name].source,
                **reading(measured).model_dump(mode="json"),
                "points": [{"value": value, "status": status} for value, status in _points(measured)],
            }
            for name, measured in readings.found.items()
        },
    }


def show_readings(readings: Readings, out: Path | None) -> None:
    """Print the median of each measure; `out` is where the values were written."""
    from spurion.geometry import MEASURES
    from spurion.geometry.groups.summary import reading

    images, setting = readings.images, readings.setting
    show_source("Images", images)
    show_source("Training images", readings.train)
    way = f"{setting.basins.steps} steps, {'clipped' if setting.basins.clip else 'not clipped'}"
    say(f"Recovered: within {setting.tolerance:.4g} ({setting.distance.info.name}); flow back in {way}.")
    say(f"Curvature and log-density: read at a noise of {setting.noise:.4g}.")
    rows = []
    for name, measured in readings.found.items():
        result = reading(measured)
        others = [f"{n} {status}" for status, n in result.statuses.items() if status != "measured"]
        counts = ", ".join([str(result.statuses.get("measured", 0)), *others])
        rows.append([name, *_median(result), MEASURES[name].unit.partition(",")[0], counts])
    show_table(COLUMNS, rows, numbers=COLUMNS[1:3])
    for note in readings.notes:
        say(f"Note: {note}")
    if out is not None:
        say(f"Every value: {out}")


def _median(result: "GroupReading") -> tuple[str, str]:
    if result.value is None:
        return "–", "–"
    return _text(result.value), f"{_text(result.low)} to {_text(result.high)}"


def _text(reading: "Reading") -> str:
    return f"{reading:.3g}" if isinstance(reading, int | float) else str(reading)
