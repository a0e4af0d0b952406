"""The top of the page: what was examined, the answer, and its numbers."""

__all__ = ["prompts_overview"]

from spurion.audits.claims import sentences
from spurion.prompts.page.stored import PromptsRun
from spurion.report.blocks import Fact, Overview, Tile
from spurion.report.facts import credit_facts
from spurion.statistics.numbers import absent, decimals, listed, percent, size

DEFINITIONS = (
    (
        "memorized",
        "More than half of the samples are as near to a training image as a new image is in one of a hundred "
        "cases.",
    ),
    (
        "spurious",
        "No copies, but most samples come again for other seeds, nearer than a thousand images do among "
        "themselves.",
    ),
    ("generalized", "Neither: other seeds give other images."),
)


def prompts_overview(run: PromptsRun) -> Overview:
    """Sum a run up."""
    claims = run.result.claims
    answer = sentences(claims, "answer") or ["The prompts are ranked; nothing else is known of them."]
    return Overview(
        facts=_facts(run),
        answer=tuple(answer),
        warnings=tuple(sentences(claims, "warning")),
        tiles=_tiles(run),
        definitions=DEFINITIONS,
        doubts=tuple(sentences(claims, "doubt")),
    )


def _facts(run: PromptsRun) -> tuple[Fact, ...]:
    result, config = run.result, run.result.config
    labels = [f"{size(one.prompts)} {one.name}" for one in result.summaries if one.by == "label"]
    train = result.train
    return (
        Fact("Model", result.model, f"{result.pipeline}, latents {_by(result.shape)}"),
        Fact("Prompts", size(len(result.prompts)), f"labeled: {listed(labels)}" if labels else "no labels"),
        Fact(
            "Samples",
            f"{size(config.seeds)} a prompt",
            f"{config.steps} steps of deterministic DDIM, guidance {config.guidance:g}, seed {config.seed}",
        ),
        Fact(
            "Training images",
            absent if train is None else size(train.count),
            "none are known" if train is None else train.name,
        ),
        Fact(
            "Network evaluations",
            size(result.evaluations),
            f"{decimals(1)(result.evaluations / len(result.prompts))} a prompt",
        ),
        *credit_facts(result.claims),
    )


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _tiles(run: PromptsRun) -> tuple[Tile, ...]:
    return tuple(tile for tile in (_copied(run), _repeated(run), _best(run)) if tile is not None)


def _outcomes(run: PromptsRun, outcome: str) -> tuple[int, int]:
    known = [one.answered for one in run.result.prompts if one.answered is not None]
    return sum(one.outcome == outcome for one in known), len(known)


def _copied(run: PromptsRun) -> Tile | None:
    count, known = _outcomes(run, "memorized")
    if not known:
        return None
    return Tile(
        "memorized", "Prompts known by heart", size(count), (), f"of {size(known)} prompts", float(count)
    )


def _repeated(run: PromptsRun) -> Tile | None:
    count, known = _outcomes(run, "spurious")
    if not known:
        return None
    meaning = f"of {size(known)} prompts give the same image again, and no copy"
    return Tile("spurious", "Spurious prompts", size(count), (), meaning, float(count))


def _best(run: PromptsRun) -> Tile | None:
    if not run.judged:
        return None
    best = max(run.judged.values(), key=lambda one: (one.auc.value, one.auc.low))
    two = decimals(2)
    return Tile(
        "generalized",
        "Best detector",
        best.detector,
        (f"95% interval {two(best.auc.low)} to {two(best.auc.high)}",),
        f"AUC {two(best.auc.value)}, {percent(best.sensitivity.value)} found at 1% false"
        if best.sensitivity
        else f"AUC {two(best.auc.value)}",
        best.auc.value,
    )
