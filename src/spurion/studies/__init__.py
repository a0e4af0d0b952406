"""Studies and audits: from images to stored results."""

__all__ = ["audit", "plan", "study"]

from spurion.studies.audit import audit
from spurion.studies.plan import plan
from spurion.studies.sweep import study
