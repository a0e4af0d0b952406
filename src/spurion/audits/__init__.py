"""Audits: what is read, found, said and stored of one set of samples."""

__all__ = ["CHECKS", "AuditResult", "Claim", "PhaseMetric", "audit", "audit_schema"]

from spurion.audits.checks import CHECKS
from spurion.audits.claims import Claim
from spurion.audits.door import audit
from spurion.audits.phase_metric import PhaseMetric
from spurion.audits.results import AuditResult, audit_schema
