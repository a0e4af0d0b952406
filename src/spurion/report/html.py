"""The page: one HTML file that needs nothing else.

Styles, script, and images are inside; a content security policy forbids everything from elsewhere and any
script but ours. All text goes through Jinja's escaping: names of sets and files come from users.
"""

__all__ = ["render"]

import base64
import hashlib
import re
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from spurion.report.figures import Plate
from spurion.report.overview import overview
from spurion.report.run import Run
from spurion.report.sections import SECTIONS

SYMBOLS = re.compile(r"δm|δs|C_T|\b(?:memorized|spurious|generalized)\b", re.IGNORECASE)


def render(run: Run, plates: dict[str, Plate]) -> str:
    """Make the page.

    Arguments:
        run: The run.
        plates: Its figures, by name.
    """
    environment = Environment(
        loader=PackageLoader("spurion.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["prose"] = prose
    environment.filters["short"] = lambda number: f"{number:.6g}"
    style, script = (_asset(name) for name in ("report.css", "gallery.js"))
    sections = [section for section in (make(run) for make in SECTIONS) if section is not None]
    return environment.get_template("report.html.j2").render(
        study=run.study,
        overview=overview(run),
        sections=sections,
        plates=plates,
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
    )


def prose(text: str) -> Markup:
    """Escape a text, then set its symbols: thresholds with subscripts, the three classes in their colors.

    Example:
        >>> prose("<b> δm")
        Markup('&lt;b&gt; δ<sub>m</sub>')
        >>> prose("Spurious")
        Markup('<b class="spurious">Spurious</b>')
    """
    return Markup(SYMBOLS.sub(_set_symbol, str(escape(text))))


def _set_symbol(match: re.Match[str]) -> str:
    symbol = match.group()
    if symbol == "C_T":
        return "C<sub>T</sub>"
    if symbol[0] == "δ":
        return f"δ<sub>{symbol[1]}</sub>"
    return f'<b class="{symbol.lower()}">{symbol}</b>'


def _asset(name: str) -> str:
    return files("spurion.report").joinpath("templates", name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src "
        f"'sha256-{hashes[1]}'; base-uri 'none'; form-action 'none'"
    )
