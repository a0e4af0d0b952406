"""What the terminal shows of a study of the circle."""

__all__ = ["tell_plan", "tell_result"]

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spurion.cli.errors import BAD_INPUT
from spurion.cli.show import duration, say, show_json, show_table

if TYPE_CHECKING:
    from spurion.circle.results import CircleResult, Law, TrainedResult
    from spurion.circle.study import CirclePlan

LAWS = {
    "capacity": "K at which half of the density belongs to memories",
    "saturation": "number of minima of many patterns",
    "ripple": "ripple along the ring",
}


def tell_plan(plan: "CirclePlan", as_json: bool) -> None:
    """Print what a study of the circle would do."""
    show_json(_plan_values(plan)) if as_json else _show_plan(plan)


def tell_result(result: "CircleResult", page: Path, as_json: bool) -> None:
    """Print what a study of the circle found.

    Raises:
        typer.Exit: If all of its trainings failed.
    """
    show_json(result.to_json()) if as_json else _show(result, page)
    _end(result)


def _plan_values(plan: "CirclePlan") -> dict[str, Any]:
    return {
        "config": plan.config.model_dump(mode="json"),
        "exact_pieces": plan.exact,
        "trainings": plan.trained,
        "seconds": plan.seconds,
    }


def _show_plan(plan: "CirclePlan") -> None:
    import yaml

    values = plan.config.model_dump(mode="json")
    say(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None), nl=False)
    say(f"{plan.exact} exact pieces and {plan.trained} trainings; about {duration(plan.seconds)}.")


def _show(result: "CircleResult", page: Path) -> None:
    if result.table:
        rows = [
            (str(s.count), f"{1 / (2 * s.beta):g}", str(len(s.minima)), str(_memories(s.minima)))
            for s in result.table
        ]
        columns = ("K", "time", "minima", "memories")
        show_table(columns, rows, numbers=columns)
    if result.laws:
        show_table(("law", "beta", "predicted", "found"), [_law(law) for law in result.laws])
    if result.trained:
        header = ("network", "K", "minima", "correlation", "RMS in kT", "Hausdorff")
        show_table(header, [_trained(network) for network in result.trained], numbers=header[1:])
    say(f"Report: {page}")


def _end(result: "CircleResult") -> None:
    """Name the trainings that failed; a study all of whose trainings failed has failed itself."""
    for note in result.notes:
        say(note, err=True)
    if result.trained and all(network.status == "failed" for network in result.trained):
        raise typer.Exit(BAD_INPUT)


def _memories(minima: tuple[Any, ...]) -> int:
    return sum(minimum.kind == "memory" for minimum in minima)


def _law(law: "Law") -> tuple[str, str, str, str]:
    found = "not reached"
    if law.found is not None:
        found = f"{law.found.value:.3g} ({law.found.low:.3g}–{law.found.high:.3g})"
    return LAWS[law.name], f"{law.beta:.4g}", f"{law.predicted:.3g}", found


def _trained(network: "TrainedResult") -> tuple[str, ...]:
    head = network.network, str(network.count)
    if network.status == "failed":
        return *head, "failed", "", "", ""
    against = next(c for c in network.comparisons if c.against == "patterns")
    apart = "–" if against.hausdorff is None else f"{against.hausdorff:.3f}"
    return *head, str(len(network.minima)), f"{against.correlation:.4f}", f"{against.rms:.3f}", apart
