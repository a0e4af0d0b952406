"""Find the attractors of a diffusion model: what it memorized, what is spurious, what it can generate.

Three doors: `audit` (samples of any model against the images it was trained on), `study` (a whole experiment
over training sizes, or the circle) and `PhaseMetric` (an audit in the manner of torchmetrics). Beneath them:

- `spurion.data`: images from folders, archives, arrays and data sets
- `spurion.neighbors`: exact nearest neighbors under several distances
- `spurion.memory`: associative memories, exact
- `spurion.diffusion`: schedules, denoisers, training, samplers
- `spurion.geometry`: how wide, how sharp, how deep the states of a model are
- `spurion.statistics`: intervals, medians and tests
- `spurion.phases`: from distances to classes, tests and capacities
- `spurion.audits`: audits, their claims and results
- `spurion.studies`: studies, their configurations and results
- `spurion.circle`: the paper's toy model, exact and trained
- `spurion.grid`: studies of several values of a field and several seeds
- `spurion.prompts`: text-to-image models, and which prompts they know by heart
- `spurion.report`: the page and figures of stored results

All of them are there after ``import spurion``, and are imported when they are first used.

Example:
    >>> import spurion
    >>> "audit" in dir(spurion), spurion.neighbors.nearest.__name__
    (True, 'nearest')
"""

__all__ = ["PhaseMetric", "__version__", "audit", "study"]

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spurion import audits as audits
    from spurion import circle as circle
    from spurion import data as data
    from spurion import diffusion as diffusion
    from spurion import geometry as geometry
    from spurion import grid as grid
    from spurion import memory as memory
    from spurion import neighbors as neighbors
    from spurion import phases as phases
    from spurion import prompts as prompts
    from spurion import report as report
    from spurion import statistics as statistics
    from spurion import studies as studies
    from spurion.audits import PhaseMetric, audit
    from spurion.studies import study

__version__ = "0.1.0"

_DOORS = {"PhaseMetric": "audits", "audit": "audits", "study": "studies"}
_PACKAGES = (
    "audits",
    "circle",
    "data",
    "diffusion",
    "geometry",
    "grid",
    "memory",
    "neighbors",
    "phases",
    "prompts",
    "report",
    "statistics",
    "studies",
)


def __dir__() -> list[str]:
    return sorted({*__all__, *_PACKAGES, *(name for name in globals() if name.startswith("__"))})


def _meant(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), [*_DOORS, *_PACKAGES], n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


if not TYPE_CHECKING:  # a type checker would take any name for one of the package

    def __getattr__(name: str) -> object:
        """Import what the package offers when it is first used, so that importing the package is quick."""
        if name in _PACKAGES:
            return import_module(f"spurion.{name}")
        if name in _DOORS:
            return getattr(import_module(f"spurion.{_DOORS[name]}"), name)
        raise AttributeError(f"module 'spurion' has no attribute {name!r}.{_meant(name)}")
