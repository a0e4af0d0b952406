"""The folder of a study or of an audit, read back whole: what the report stands on.

Nothing here touches a model. A file that is missing or damaged is one sentence that names it, so that
nobody reads a report made from half of a run.
"""

__all__ = [
    "Run",
    "Shown",
    "read_run",
]

from dataclasses import dataclass
from pathlib import Path

from spurion.audits.claims import Claim
from spurion.audits.results import AuditResult
from spurion.core.store import Store
from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.groups.flow import SampleFlow
from spurion.geometry.groups.results import GeometryResult, ScanResult
from spurion.phases.transitions import Capacities
from spurion.report.evidence import Gallery, LossCurve, Samples, read_gallery, read_loss_curve, read_samples
from spurion.report.stored import read_stored
from spurion.studies.results import Point, StudyResult

REMEDY = "run the study again to have it made again, or delete `.seals` beside it to have it read as it is"
"""What to do about a file that is not as it was written."""


@dataclass(frozen=True)
class Shown:
    """One audit and the files beside it: that of a training size, or one of its own.

    Attributes:
        audit: What was found.
        samples: The rows of `samples.csv`; None where the audit is redacted.
        gallery: The stored images; None likewise.
        loss: The training loss; None where nothing was trained.
        point: The training size of a study; None for an audit of its own.
    """

    audit: AuditResult
    samples: Samples | None = None
    gallery: Gallery | None = None
    loss: LossCurve | None = None
    point: Point | None = None

    @property
    def train_size(self) -> int:
        """Number of training images, K."""
        return self.audit.train_size


@dataclass(frozen=True)
class Run:
    """What a report shows: audits by training size, of a study or a single one.

    Attributes:
        done: The audits.
        study: The study that they are of; None for a single audit.
        failed: Training sizes that failed, each with its loss, if there is any.
    """

    done: tuple[Shown, ...]
    study: StudyResult | None = None
    failed: tuple[tuple[Point, LossCurve | None], ...] = ()

    @property
    def single(self) -> Shown | None:
        """The only audit, where there is no study."""
        return self.done[0] if self.study is None else None

    @property
    def audits(self) -> tuple[AuditResult, ...]:
        """The audits, by training size."""
        return tuple(shown.audit for shown in self.done)

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Everything that is said."""
        return self.audits[0].claims if self.study is None else self.study.claims

    @property
    def common_size(self) -> int | None:
        """The number of samples at which audits can be compared."""
        return None if self.study is None else self.study.common_size

    @property
    def capacities(self) -> Capacities | None:
        """The capacities, in a study with classes."""
        return None if self.study is None else self.study.capacities

    @property
    def flows(self) -> dict[int, SampleFlow]:
        """Where the samples flow, by training size."""
        return {audit.train_size: audit.flow for audit in self.audits if audit.flow is not None}

    @property
    def geometries(self) -> dict[int, GeometryResult]:
        """What was measured of the models of a study, by training size."""
        return {} if self.study is None else self.study.geometries

    @property
    def least(self) -> int:
        """How many samples a class needs before it is measured."""
        return (self.geometry_config or GeometryConfig()).least

    @property
    def geometry_config(self) -> GeometryConfig | None:
        """How the geometry of a study was measured, if its configuration says so."""
        return None if self.study is None else self.study.geometry_config

    @property
    def curvature(self) -> ScanResult | None:
        """The noise at which the curvature of a study is read, and why."""
        return None if self.study is None else self.study.curvature


def read_run(folder: Path | str) -> Run:
    """Read the folder of a study or of an audit.

    Arguments:
        folder: A folder with `audit.json`, or with `study.json` and `points/`.

    Raises:
        ValueError: If a file is missing or damaged; the sentence names it.
    """
    folder = Path(folder)
    return _read_audit(folder) if (folder / "audit.json").is_file() else _read_study(folder)


def _read_audit(folder: Path) -> Run:
    audit = read_stored(AuditResult, folder / "audit.json", "an audit")
    shown = Shown(audit) if audit.redacted else Shown(audit, *_read_evidence(folder, audit))
    Store(folder, "audit").check("audit again, or delete `.seals` beside it to have it read as it is")
    return Run((shown,))


def _read_study(folder: Path) -> Run:
    study = read_stored(StudyResult, folder / "study.json", "a run")
    Store(folder, "study").check(REMEDY)
    done, failed = [], []
    for point in sorted(study.points, key=lambda point: point.train_size):
        place = folder / "points" / f"{point.train_size:06d}"
        loss = place / "training.jsonl"
        if point.audit is None:
            failed.append((point, read_loss_curve(loss) if loss.is_file() else None))
        else:
            done.append(_read_point(place, point, point.audit))
    return Run(tuple(done), study, tuple(failed))


def _read_point(folder: Path, point: Point, audit: AuditResult) -> Shown:
    loss = folder / "training.jsonl"
    samples, gallery = _read_evidence(folder, audit)
    found = Shown(
        audit, samples, gallery, read_loss_curve(loss) if point.training is not None else None, point
    )
    Store(folder, "conclude").check(REMEDY, folder / "samples.csv", folder / "gallery.npz")
    Store(folder, "train").check(REMEDY, loss)
    return found


def _read_evidence(folder: Path, audit: AuditResult) -> tuple[Samples, Gallery]:
    samples = read_samples(folder / "samples.csv", audit.sample_size, audit.train_size)
    return samples, read_gallery(folder / "gallery.npz", len(samples))
