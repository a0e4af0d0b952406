"""The plain-language answer: what is exact, where the phases lie, what the networks learned."""

__all__ = ["answer", "compared", "crossing", "nearest_time"]

from spurion.circle.page.stored import CircleRun
from spurion.circle.page.words import beta_text, count_text, time_text
from spurion.circle.results import Comparison, Law, PhasePoint, State, TrainedResult
from spurion.statistics.numbers import listed, percent, percent_interval, value

PUBLISHED = 0.15
"""The time at which the paper shows its energies."""


def answer(run: CircleRun) -> list[str]:
    """What the study found, in up to five sentences, the last of them what not to conclude."""
    sentences = [_minima(run), _phases(run), _capacity(run), _trained(run)]
    return [*(sentence for sentence in sentences if sentence), _caution(run)]


def nearest_time(states: tuple[State, ...]) -> list[State]:
    """The states at the tabulated time nearest to the paper's, by K."""
    if not states:
        return []
    beta = min({s.beta for s in states}, key=lambda b: abs(1 / (2 * b) - PUBLISHED))
    return sorted((s for s in states if s.beta == beta), key=lambda s: s.count or 0)


def crossing(run: CircleRun) -> Law | None:
    """The capacity law at the middle temperature that was reached."""
    found = [law for law in run.study.laws if law.name == "capacity" and law.found is not None]
    return found[len(found) // 2] if found else None


def compared(result: TrainedResult, against: str = "patterns") -> Comparison | None:
    """A network's comparison with one of the exact energies."""
    return next((c for c in result.comparisons if c.against == against), None)


def _minima(run: CircleRun) -> str:
    states = nearest_time(run.study.table)
    if not states:
        return ""
    parts = [_set_in_words(state) for state in states]
    return f"With the exact energy at t = {time_text(states[0].beta)}, {listed(parts)}."


def _set_in_words(state: State) -> str:
    total = len(state.minima)
    memories = sum(minimum.kind == "memory" for minimum in state.minima)
    minima = "one minimum" if total == 1 else f"{total} minima"
    if memories == total:
        kinds = "a memory" if total == 1 else "all of them memories"
    else:
        kinds = "none of them a memory" if not memories else f"{memories} of them memories"
        if total == 1 and not memories:
            kinds = "no memory"
    subject = "1 pattern makes" if state.count == 1 else f"{state.count} patterns make"
    return f"{subject} {minima}, {kinds}"


def _peak(points: list[PhasePoint]) -> PhasePoint:
    return max(points, key=lambda point: point.spurious.value)


def _phases(run: CircleRun) -> str:
    betas = sorted({point.beta for point in run.study.phases})
    if not betas:
        return ""
    beta = betas[len(betas) // 2]
    points = [point for point in run.study.phases if point.beta == beta]
    first, last, peak = points[0], points[-1], _peak(points)
    return (
        f"Random sets pass through three phases at β = {beta_text(beta)}: memories hold "
        f"{percent_interval(first.memory)} of the density at K = {count_text(first.count)}, spurious states "
        f"{percent(peak.spurious.value)} at their peak, K = {count_text(peak.count)}, and the continuum "
        f"{percent_interval(last.continuum)} at K = {count_text(last.count)}."
    )


def _capacity(run: CircleRun) -> str:
    law = crossing(run)
    if law is None or law.found is None:
        return ""
    return (
        f"Memories hold half of the density up to K = {value(law.found.value)} (95% interval "
        f"{value(law.found.low)} to {value(law.found.high)}) at β = {beta_text(law.beta)}, where the law "
        f"1.54 √β says {value(law.predicted)}."
    )


def _trained(run: CircleRun) -> str:
    pairs = [(grids.result, compared(grids.result)) for grids in run.trained]
    known = [(result, found) for result, found in pairs if found is not None]
    if not known:
        return ""
    low = min(found.correlation for _, found in known)
    worst = max(known, key=lambda pair: pair[1].rms)
    return (
        "The trained networks learn this energy: over the grid it correlates with the exact one by at least "
        f"{low:.3f}, and differs most, by {value(worst[1].rms)} kT, for the {worst[0].network} network at K "
        f"= {count_text(worst[0].count)}."
    )


def _caution(run: CircleRun) -> str:
    return (
        "None of this holds at zero noise: there the exact reverse process ends in a pattern whatever K is. "
        "Spurious states and the continuum need a finite temperature, or a network that smooths."
    )
