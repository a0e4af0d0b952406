"""The top of the circle's page: what was studied, the answer, and its three numbers."""

__all__ = ["circle_overview"]


from spurion.circle.page.answer import answer, crossing
from spurion.circle.page.stored import CircleRun
from spurion.circle.page.words import DEFINITIONS, beta_text, count_text, network_text
from spurion.circle.trained_config import TrainedConfig
from spurion.report.blocks import Fact, Overview, Tile
from spurion.statistics.numbers import absent, listed, percent, value


def circle_overview(run: CircleRun) -> Overview:
    """Sum a run up."""
    return Overview(
        facts=_facts(run),
        answer=tuple(answer(run)),
        warnings=run.study.notes,
        tiles=_tiles(run),
        definitions=tuple(DEFINITIONS.items()),
    )


def _facts(run: CircleRun) -> tuple[Fact, ...]:
    config = run.study.config
    own = config.patterns == "paper"
    phases, trained = config.phases, config.trained
    names = [name for name, network in trained.networks.items() if network is not None]
    return (
        Fact(
            "Patterns",
            "the paper’s nested sets" if own else "drawn from the seed",
            "points on the unit circle, each set contained in the larger ones",
        ),
        Fact(
            "Random sets",
            f"{phases.sets} for each K and β",
            f"K from {count_text(min(phases.counts))} to {count_text(max(phases.counts))}"
            if phases.counts
            else "",
        ),
        Fact("Temperatures", f"β = {listed([beta_text(b) for b in phases.betas])}", "β = 1 / 2t, σ = 1"),
        Fact(
            "Trained networks",
            listed(names) if trained.counts else absent,
            _networks(trained, names) if trained.counts and names else "no network was trained",
        ),
    )


def _networks(trained: TrainedConfig, names: list[str]) -> str:
    counts = listed([count_text(count) for count in trained.counts])
    words = "; ".join(f"{name} is the {network_text(name)}" for name in names)
    return f"at K = {counts}, compared at t = {trained.time:g}: {words}"


def _tiles(run: CircleRun) -> tuple[Tile, ...]:
    return tuple(tile for tile in (_capacity(run), _peak(run), _saturation(run)) if tile is not None)


def _capacity(run: CircleRun) -> Tile | None:
    law = crossing(run)
    if law is None or law.found is None:
        return None
    return Tile(
        "memorized",
        "Memories hold half",
        f"K ≈ {value(law.found.value)}",
        (
            f"95% interval {value(law.found.low)} to {value(law.found.high)}",
            f"law 1.54 √β: {value(law.predicted)}",
        ),
        f"patterns at β = {beta_text(law.beta)}",
        law.found.value,
    )


def _peak(run: CircleRun) -> Tile | None:
    betas = sorted({point.beta for point in run.study.phases})
    if not betas:
        return None
    beta = betas[len(betas) // 2]
    peak = max((p for p in run.study.phases if p.beta == beta), key=lambda p: p.spurious.value)
    height = peak.spurious
    return Tile(
        "spurious",
        "Spurious peak",
        percent(height.value),
        (f"95% interval {percent(height.low)} to {percent(height.high)}",),
        f"of the density at K = {count_text(peak.count)}, β = {beta_text(beta)}",
        height.value,
    )


def _saturation(run: CircleRun) -> Tile | None:
    laws = [law for law in run.study.laws if law.name == "saturation" and law.found is not None]
    if not laws:
        return None
    law = laws[len(laws) // 2]
    if law.found is None:
        return None
    return Tile(
        "generalized",
        "Minima saturate",
        value(law.found.value),
        (
            f"95% interval {value(law.found.low)} to {value(law.found.high)}",
            f"law 1.7 √β: {value(law.predicted)}",
        ),
        f"minima of very many patterns at β = {beta_text(law.beta)}",
        law.found.value,
    )
