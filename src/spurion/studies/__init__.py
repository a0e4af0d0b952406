"""Studies and audits: from images to stored results."""

__all__ = [
    "RECIPES",
    "AuditResult",
    "PhaseMetric",
    "StudyConfig",
    "StudyResult",
    "audit",
    "audit_schema",
    "plan",
    "study",
    "study_schema",
]

from spurion.studies.auditing.results import AuditResult, audit_schema
from spurion.studies.auditing.run import audit
from spurion.studies.config import StudyConfig
from spurion.studies.kinds import plan, study
from spurion.studies.phase_metric import PhaseMetric
from spurion.studies.recipes import RECIPES
from spurion.studies.results import StudyResult, study_schema
