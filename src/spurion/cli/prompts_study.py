"""The studies of prompts as kinds of study, and what the terminal shows of them."""

__all__ = ["page", "plan", "study", "tell_plan", "tell_result"]

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spurion.cli.prompts import show_prompts
from spurion.cli.show import duration, say, show_json, show_table
from spurion.core.config import Config
from spurion.core.progress import Progress
from spurion.prompts.page import prompts_page as page
from spurion.prompts.study.planning import PromptsPlan, prompts_plan
from spurion.prompts.study.stable_diffusion import (
    NAME,
    StableDiffusionStudyConfig,
    stable_diffusion_config,
)
from spurion.prompts.study.study import prompts_study, stable_diffusion_study
from spurion.studies.config import load_config

if TYPE_CHECKING:
    from spurion.prompts.results import PromptsResult

Plan = PromptsPlan | StableDiffusionStudyConfig


def study(
    what: Any,
    *,
    out: Path | str,
    overrides: Sequence[str],
    device: str | None,
    workers: int | None,
    report: Progress,
) -> "PromptsResult":
    """Run a study of prompts, or go on with it; see `spurion.prompts.study.study`.

    Raises:
        ValueError: If more than one process is asked for, or as there.
    """
    if _is_case_study(what):
        _check(workers)
        return stable_diffusion_study(what, out=out, overrides=overrides, device=device, report=report)
    return prompts_study(what, out=out, overrides=overrides, device=device, workers=workers, report=report)


def plan(what: Any, *, overrides: Sequence[str], device: str | None, workers: int | None) -> Plan:
    """Resolve a study; of the one that trains with an estimate of its time.

    Raises:
        ValueError: If the configuration is wrong.
    """
    return stable_diffusion_config(what, overrides) if _is_case_study(what) else prompts_plan(what, overrides)


def tell_plan(plan: Plan, as_json: bool) -> None:
    """Print what a study would do."""
    more: dict[str, Any] = {}
    if isinstance(plan, PromptsPlan):
        more = {"prompts": plan.prompts, "items": plan.items, "seconds": plan.seconds}
    config: Config = plan.config if isinstance(plan, PromptsPlan) else plan
    values = config.model_dump(mode="json")
    if as_json:
        show_json({"config": values, **more})
        return
    import yaml

    say(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None), nl=False)
    if isinstance(plan, PromptsPlan):
        rows = [(name, str(count)) for name, count in plan.prompts.items()]
        show_table(("part", "prompts"), rows, numbers=("prompts",))
        say(f"{plan.items:,} training pairs; about {duration(plan.seconds)} on one core.")


def tell_result(result: "PromptsResult", page: Path, as_json: bool) -> None:
    """Print what was found."""
    show_json(result.to_json()) if as_json else show_prompts(result, page)


def _is_case_study(what: Any) -> bool:
    if isinstance(what, Config):
        return isinstance(what, StableDiffusionStudyConfig)
    named = str(what) if not str(what).endswith((".yaml", ".yml")) else str(load_config(what).get("kind"))
    return named == NAME


def _check(workers: int | None) -> None:
    if workers not in (None, 1):
        raise ValueError(
            f"`--workers` must be 1 for a study of Stable Diffusion, which is one process, got {workers}; "
            "leave it out."
        )
