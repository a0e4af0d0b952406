"""The page: one HTML file that needs nothing else.

Styles, script, and images are inside; a content security policy forbids everything from elsewhere and any
script but ours. All text goes through Jinja's escaping: names of sets and files come from users.
"""

__all__ = ["Page", "render", "render_page", "sections_of"]

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from types import MappingProxyType

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from spurion.core.text import printable
from spurion.report.blocks import Overview, Section
from spurion.report.figures import Plate
from spurion.report.overview import overview
from spurion.report.run import Run
from spurion.report.sections import SECTIONS

CLASSES = MappingProxyType({name: name for name in ("memorized", "spurious", "generalized")})
"""The classes of images: each is set in its own color."""

SUBTITLE = (
    "What a diffusion model copies, what it dreams up twice, and what it can truly generate, as its "
    "training set grows."
)


AUDIT_SUBTITLE = (
    "Does the model copy its training data? Which images, how often, how sure is that, and what does not "
    "follow."
)


@dataclass(frozen=True)
class Page:
    """What one page is made of.

    Attributes:
        name: The study's name.
        subtitle: What is shown, in a sentence.
        overview: The top of the page.
        sections: Everything below.
        plates: Figures, by name.
        styles: File names of its styles.
        own_style: Style that is not among the report's files.
        script: File name of its script; empty for none.
        symbols: CSS class of every word that is set in a color of its own.
        kind: What was done: a study or an audit.
    """

    name: str
    subtitle: str
    overview: Overview
    sections: Sequence[Section]
    plates: dict[str, Plate]
    styles: tuple[str, ...] = ("report.css",)
    own_style: str = ""
    script: str = "gallery.js"
    symbols: Mapping[str, str] = field(default_factory=lambda: CLASSES)
    kind: str = "study"


def sections_of(run: Run) -> list[Section]:
    """The sections of a run, in reading order."""
    return [section for section in (make(run) for make in SECTIONS) if section is not None]


def render(run: Run, plates: dict[str, Plate]) -> str:
    """Make the page of a study of images, or of an audit.

    Arguments:
        run: The run.
        plates: Its figures, by name.
    """
    if run.study is not None:
        return render_page(Page(run.study.name, SUBTITLE, overview(run), sections_of(run), plates))
    inputs = run.audits[0].inputs
    return render_page(
        Page(
            name=f"Audit of {inputs.samples.name} against {inputs.train.name}",
            subtitle=AUDIT_SUBTITLE,
            overview=overview(run),
            sections=sections_of(run),
            plates=plates,
            styles=("report.css", "audit.css"),
            script="",
            kind="audit",
        )
    )


def render_page(page: Page) -> str:
    """Make a page: one HTML file that needs nothing else."""
    environment = Environment(
        loader=PackageLoader("spurion.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["prose"] = partial(prose, symbols=page.symbols)
    environment.filters["short"] = lambda number: f"{number:.6g}"
    style = "".join(_asset(name) for name in page.styles) + page.own_style
    script = _asset(page.script) if page.script else ""
    return environment.get_template("report.html.j2").render(
        kind=page.kind,
        name=page.name,
        subtitle=page.subtitle,
        overview=page.overview,
        sections=page.sections,
        plates=page.plates,
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
    )


def prose(text: str, symbols: Mapping[str, str] = CLASSES) -> Markup:
    """Escape a text, then set its symbols: thresholds with subscripts, the three classes in their colors.

    Arguments:
        text: The text.
        symbols: CSS class of every word that is set in a color of its own, in lower case.

    Example:
        >>> prose("<b> δm")
        Markup('&lt;b&gt; δ<sub>m</sub>')
        >>> prose("Spurious")
        Markup('<b class="spurious">Spurious</b>')
    """
    escaped = str(escape(_shown(text)))
    pattern = rf"δm|δs|C_T|\bm0\b|\b(?:{'|'.join(symbols)})\b"
    return Markup(re.sub(pattern, partial(_set_symbol, symbols), escaped, flags=re.IGNORECASE))


def _shown(value: object) -> object:
    """What a template is given, without characters that cannot be printed; markup is ours."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else printable(value, keep="\n")


def _set_symbol(symbols: Mapping[str, str], match: re.Match[str]) -> str:
    symbol = match.group()
    if symbol.lower() in symbols:
        return f'<b class="{symbols[symbol.lower()]}">{symbol}</b>'
    if symbol[0] == "δ":
        return f"δ<sub>{symbol[1]}</sub>"
    return "m<sub>0</sub>" if symbol.lower() == "m0" else "C<sub>T</sub>"


def _asset(name: str) -> str:
    return files("spurion.report").joinpath("templates", name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src "
        f"'sha256-{hashes[1]}'; base-uri 'none'; form-action 'none'"
    )
