"""The folder of an audit: `audit.json`, `samples.csv` and `gallery.npz`, each written whole or not at all.

`audit.json` is the mark of a whole audit: an old one goes first and the new one comes last, so that a folder
with one never holds parts of two audits. One folder is for one training set, one set of samples and one
held-out set: an audit of the same sets, by another rule say, takes the place of the last; one of others is
refused. The checksums of all files are in `.seals/audit.json`; what was damaged since is refused.

A redacted audit leaves `audit.json` alone, with its checksum, and it goes into no folder in which an open one
left its images.
"""

__all__ = ["AUDIT_FILE", "AuditFolder"]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float64, Int64
from torch import Tensor

from spurion.audits.gallery import chosen
from spurion.audits.measurement import Measurement
from spurion.audits.results import AuditResult, Inputs
from spurion.audits.sources import ROLES, Images
from spurion.audits.written import evidence_columns, flow_column, write_gallery, write_samples_csv
from spurion.core.files import read_json
from spurion.core.store import Store

AUDIT_FILE = "audit.json"
REPORT_FILE = "report.html"
DRAWN = ("samples.npz", "samples.shards")
"""Samples that an audit drew, whole and in part."""

OPEN_FILES = ("samples.csv", "gallery.npz", *DRAWN)
"""What a redacted audit must not lie beside."""


@dataclass(frozen=True)
class AuditFolder:
    """Where an audit goes.

    Raises:
        ValueError: If the folder holds a study, or a redacted audit would lie beside open results.
    """

    path: Path
    redact: bool

    @classmethod
    def at(cls, path: Path | str, redact: bool) -> "AuditFolder":
        """The folder of a path, which must not be empty: that would be the working directory.

        Raises:
            ValueError: If it is, or as the class.
        """
        if not str(path).strip():
            raise ValueError("`out` must be the path of a folder, got an empty text.")
        return cls(Path(path), redact)

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
        values = self._last()
        return values is not None and values.get("redacted") is not True

    def _last(self) -> dict[str, Any] | None:
        """The audit that is there, as stored."""
        path = self.path / AUDIT_FILE
        values = read_json(path) if path.is_file() else None
        return values if isinstance(values, dict) or values is None else {}

    def check_drawing(self, drawn: bool) -> None:
        """Refuse, before any sample is drawn, a folder whose samples came from elsewhere.

        Arguments:
            drawn: Whether the audit draws its samples.

        Raises:
            ValueError: If the folder holds an audit of samples that were given and these are to be drawn, or
                samples of an audit that was not finished and these are given.
        """
        last = self._last()
        if last is None and not drawn and any((self.path / name).exists() for name in DRAWN):
            raise ValueError(
                f"{self.path} holds samples of an audit that was not finished; run that one again, or choose "
                "another folder."
            )
        if last is not None and drawn and not (last.get("model") or {}).get("sampler"):
            raise ValueError(f"{self.path} holds an audit of samples that were given; choose another folder.")

    def check_inputs(self, inputs: Inputs) -> None:
        """Refuse a folder with an audit of other sets, or with one that is damaged.

        Raises:
            ValueError: If it holds one.
        """
        last = self._last()
        if last is None:
            return
        stored = last.get("inputs") or {}
        for role, name in zip(("train", "samples", "holdout"), ROLES, strict=True):
            source = getattr(inputs, role)
            if (stored.get(role) or {}).get("sha256") != (source and source.sha256):
                raise ValueError(f"{self.path} holds an audit of other {name}; choose another folder.")
        remedy = "delete it to audit again, or choose another folder"
        Store(self.path, "audit").check(remedy, self.path / AUDIT_FILE)

    def write(
        self,
        result: AuditResult,
        images: Images,
        measurement: Measurement,
        labels: Int64[Tensor, " n"] | None,
        by: Sequence[str] | None = None,
        ends: Int64[Tensor, " n"] | None = None,
        p_values: Float64[Tensor, " n"] | None = None,
    ) -> None:
        """Write everything but the report; that of the last audit goes.

        Arguments:
            result: What was found.
            images: The sets.
            measurement: The distances and neighbors of the samples.
            labels: Their classes, or None.
            by: The transform that brings each nearest to a training image; None, and no column, without any.
            ends: Where each sample ends (`flow_column`); None, and no column, if none was followed.
            p_values: The probability of a new image as near as each; None where it is not known.

        Raises:
            OSError: If the folder cannot be written or the disk is full.
        """
        store, files = Store(self.path, "audit"), [self.path / AUDIT_FILE]
        store.remove(*files, self.path / REPORT_FILE)
        if not self.redact:
            more = evidence_columns(measurement, result.thresholds, p_values, result.listed)
            transforms = {} if by is None else {"transform": by}
            columns = {**more, **transforms, **flow_column(ends)}
            write_samples_csv(self.path / "samples.csv", measurement, labels, columns)
            write_gallery(
                self.path / "gallery.npz",
                measurement,
                labels,
                images.samples.images,
                images.train.images,
                chosen(measurement, result.exposure),
            )
            files += [self.path / "samples.csv", self.path / "gallery.npz"]
        store.keep(self.path / AUDIT_FILE, result.to_json(), *files[1:])
