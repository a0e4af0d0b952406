"""The page of an audit."""

__all__ = ["audit_page"]

from pathlib import Path

from spurion.report.audit.figures import AUDIT_FIGURES
from spurion.report.audit.overview import audit_overview
from spurion.report.audit.run import AuditRun, read_audit
from spurion.report.audit.sections import AUDIT_SECTIONS
from spurion.report.figures import Plate, draw_figures
from spurion.report.html import Page, render_page

SUBTITLE = (
    "Does the model copy its training data? Which images, how often, how sure is that, and what does not "
    "follow."
)


def audit_page(folder: Path) -> str:
    """Draw the figures of an audit's folder and make its page."""
    run = read_audit(folder)
    return render_audit(run, draw_figures(run, folder / "figures", AUDIT_FIGURES))


def render_audit(run: AuditRun, plates: dict[str, Plate]) -> str:
    """Make the page of an audit with its figures."""
    inputs = run.audit.inputs
    return render_page(
        Page(
            name=f"Audit of {inputs.samples.name} against {inputs.train.name}",
            subtitle=SUBTITLE,
            overview=audit_overview(run.audit),
            sections=[section for section in (make(run) for make in AUDIT_SECTIONS) if section is not None],
            plates=plates,
            styles=("report.css", "audit.css"),
            script="",
            kind="audit",
        )
    )
