"""The folder of an audit: `audit.json`, `samples.csv` and `gallery.npz`, each written whole or not at all.

A redacted audit leaves `audit.json` alone, and it goes into no folder in which an open one left its images.
"""

__all__ = ["AUDIT_FILE", "AuditFolder"]

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Int64
from torch import Tensor

from spurion.core.files import read_json, write_json
from spurion.studies.auditing.gallery import chosen
from spurion.studies.auditing.results import AuditResult
from spurion.studies.auditing.sources import Images
from spurion.studies.evidence import write_gallery, write_samples_csv
from spurion.studies.measurement import Measurement

AUDIT_FILE = "audit.json"
OPEN_FILES = ("samples.csv", "gallery.npz", "samples.npz", "samples.shards")
"""What a redacted audit must not lie beside."""


@dataclass(frozen=True)
class AuditFolder:
    """Where an audit goes.

    Raises:
        ValueError: If the folder holds a study, or a redacted audit would lie beside open results.
    """

    path: Path
    redact: bool

    def __post_init__(self) -> None:
        if (self.path / "study.json").exists() or (self.path / "config.yaml").exists():
            raise ValueError(f"`out` must not be the folder of a study, got {self.path}; choose another.")
        if not self.redact:
            return
        beside = [name for name in OPEN_FILES if (self.path / name).exists()]
        if not beside and self._is_open():
            beside = [AUDIT_FILE]
        if beside:
            raise ValueError(
                f"{self.path} holds results that are not redacted ({', '.join(beside)}); choose another."
            )

    def _is_open(self) -> bool:
        path = self.path / AUDIT_FILE
        values = read_json(path) if path.is_file() else None
        return values is not None and not (isinstance(values, dict) and values.get("redacted") is True)

    def write(
        self,
        result: AuditResult,
        images: Images,
        measurement: Measurement,
        labels: Int64[Tensor, " n"] | None,
    ) -> None:
        """Write everything but the report.

        Raises:
            OSError: If the folder cannot be written or the disk is full.
        """
        if not self.redact:
            write_samples_csv(self.path / "samples.csv", measurement, labels)
            write_gallery(
                self.path / "gallery.npz",
                measurement,
                labels,
                images.samples.images,
                images.train.images,
                chosen(measurement, result.exposure),
            )
        write_json(self.path / AUDIT_FILE, result.to_json())
