"""Studies and audits: from images to stored results."""

__all__ = ["audit", "plan", "study"]

from spurion.studies.auditing.run import audit
from spurion.studies.kinds import plan, study
