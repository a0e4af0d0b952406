"""The folder of an audit, read back whole: `audit.json`, and the evidence beside it if it is not redacted."""

__all__ = ["AuditRun", "read_audit"]

from dataclasses import dataclass
from pathlib import Path

from spurion.audits.findings import Findings
from spurion.audits.results import AuditResult
from spurion.core.sealed import Seal
from spurion.report.run import Gallery, PointFiles, Run, Samples, read_gallery, read_samples
from spurion.report.stored import read_stored
from spurion.studies.results import PointResult, StudyResult


@dataclass(frozen=True)
class AuditRun:
    """An audit and its evidence.

    Attributes:
        audit: What was found.
        samples: The rows of `samples.csv`; None where the audit is redacted.
        gallery: The stored images; None likewise.
    """

    audit: AuditResult
    samples: Samples | None
    gallery: Gallery | None

    @property
    def study(self) -> Run:
        """The audit as a study of one training size, for the sections that the two reports share."""
        audit = self.audit
        shared = {name: getattr(audit, name) for name in Findings.model_fields}
        point = PointResult(
            **shared,
            train_size=audit.inputs.train.count,
            sample_size=audit.inputs.samples.count,
            status="done",
            sampler=(audit.model and audit.model.sampler) or {},
            train_duplicates=sum(map(len, audit.train_duplicates)),
            geometry=audit.geometry,
        )
        study = StudyResult(
            name=audit.inputs.samples.name,
            config={},
            environment=audit.environment,
            train=audit.inputs.train,
            holdout=audit.inputs.holdout,
            common_size=None,
            points=(point,),
            capacities=None,
            curvature=audit.curvature,
        )
        return Run(study, (PointFiles(point, self.samples, self.gallery, None),))


def read_audit(folder: Path) -> AuditRun:
    """Read the folder of an audit.

    Raises:
        ValueError: If a file is missing or damaged; the sentence names it.
    """
    audit = read_stored(AuditResult, folder / "audit.json", "an audit")
    samples, gallery = None, None
    if not audit.redacted:
        samples = read_samples(folder / "samples.csv", audit.inputs.samples.count, audit.inputs.train.count)
        gallery = read_gallery(folder / "gallery.npz", len(samples))
    Seal(folder, "audit").check("audit again, or delete `.seals` beside it to have it read as it is")
    return AuditRun(audit, samples, gallery)
