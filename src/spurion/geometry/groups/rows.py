"""The evidence of a point's geometry: one row for each point and measure."""

__all__ = ["write_rows"]

import csv
import math
from pathlib import Path

from spurion.core.files import atomic_write
from spurion.geometry.groups.measuring import Geometry
from spurion.geometry.measured import STATUSES

COLUMNS = ("group", "index", "measure", "value", "status")


def write_rows(path: Path, geometry: Geometry) -> None:
    """Write `geometry.csv`; the value is empty where the status is not "measured".

    The index counts in the samples, in the training order, or in the held-out images, as the group says.
    """
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for measure, groups in geometry.values.items():
            for group, found in groups.items():
                indices = geometry.points[measure][group].tolist()
                rows = zip(indices, found.values.tolist(), found.status.tolist(), strict=True)
                for index, value, status in rows:
                    text = repr(value) if math.isfinite(value) else ""
                    writer.writerow([group, index, measure, text, STATUSES[status]])
