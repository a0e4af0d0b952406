"""Audits: what is read, found, said and stored of one set of samples."""

__all__ = ["AuditResult", "PhaseMetric", "audit", "audit_schema"]

from spurion.audits.door import audit
from spurion.audits.phase_metric import PhaseMetric
from spurion.audits.results import AuditResult, audit_schema
