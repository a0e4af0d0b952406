"""The application: the group of all verbs, where every error ends as one sentence and an exit code."""

__all__ = ["app", "main"]

import os
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import spurion
from spurion.cli.audit import audit
from spurion.cli.classify import classify
from spurion.cli.completion import complete_in_shell
from spurion.cli.doctor import doctor
from spurion.cli.errors import BAD_INPUT, INTERRUPTED, explain
from spurion.cli.geometry import geometry
from spurion.cli.models import sample, train
from spurion.cli.neighbors import neighbors
from spurion.cli.prompts import prompts
from spurion.cli.show import say
from spurion.cli.signals import stopped_by_signals
from spurion.cli.study import report, study

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]

CONTINUING = "what was finished is kept, and the same command continues."
INTERRUPTED_VERBS = {
    "study": CONTINUING,
    "train": CONTINUING,
    "sample": CONTINUING,
    "prompts": CONTINUING,
    "audit": "the same command starts again, with --out from the samples that it drew.",
    "neighbors": "the same command starts again, with --checkpoint where it was stopped.",
}
"""What becomes of an interrupted verb; any other keeps nothing."""


class Verbs(TyperGroup):
    """The group of all verbs."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command line and exit; a mistake in its usage is one sentence and exit code 2."""
        try:
            code = super().main(*args, **{**kwargs, "standalone_mode": False})
        except USAGE_ERROR as error:
            context = getattr(error, "ctx", None)
            command = context.command_path if context else "spurion"
            _complain(f"{command}: {_sentence(error)} See {command} --help.")
            code = BAD_INPUT
        raise SystemExit(code if isinstance(code, int) else 0)

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Read a command line; an empty one asks for help."""
        if wrong := complete_in_shell(ctx, args):
            raise USAGE_ERROR(wrong, ctx)
        return super().parse_args(ctx, args or ["--help"])

    def invoke(self, ctx: Any) -> Any:
        """Run a verb; an error that ends it is one sentence."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            _complain(_interrupted(ctx.invoked_subcommand))
            raise typer.Exit(getattr(interrupt, "code", INTERRUPTED)) from None
        except (USAGE_ERROR, typer.Exit, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get("SPURION_TRACEBACK"):
                traceback.print_exc()
            sentence, code = explain(error)
            _complain(f"spurion {ctx.invoked_subcommand}: {sentence}")
            raise typer.Exit(code) from None


def _sentence(error: Exception) -> str:
    message = " ".join(error.format_message().split()).replace(": Value error,", ":")  # type: ignore[attr-defined]
    return message if message.endswith((".", "?")) else f"{message}."


def _interrupted(verb: str | None) -> str:
    next_time = INTERRUPTED_VERBS.get(verb or "", "nothing was kept, and the same command starts again.")
    return f"spurion {verb}: Interrupted; {next_time}"


def _complain(line: str) -> None:
    say(line, err=True)


app = typer.Typer(
    cls=Verbs,
    name="spurion",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> bool:
    if asked:
        say(f"spurion {spurion.__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _spurion(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Find the attractors of a diffusion model: what it memorized, what is spurious, what it can generate.

    Example: spurion study digits --out runs/digits
    """


for verb in (study, audit, train, sample, neighbors, classify, geometry, prompts, report, doctor):
    app.command()(verb)


def main() -> None:
    """Run the command line of this process."""
    stopped_by_signals()
    app(prog_name="spurion")
