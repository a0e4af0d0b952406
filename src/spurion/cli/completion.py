"""Completion of the command line in a shell: the script that does it, shown or installed."""

__all__ = ["complete_in_shell"]

from collections.abc import Callable, Sequence
from typing import Any

import shellingham
from typer.completion import install_callback, show_callback

from spurion.cli.errors import explain

OPTIONS: dict[str, Callable[..., Any]] = {
    "--install-completion": install_callback,
    "--show-completion": show_callback,
}
SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")


def complete_in_shell(context: Any, arguments: Sequence[str]) -> str | None:
    """Show or install the script, and leave the process, if that is what the arguments ask for.

    Arguments:
        context: The context of the group of all verbs.
        arguments: Those of the command line. A shell may follow the option; else it is the running one.

    Returns:
        What is wrong, in a sentence; None if the arguments ask for something else.
    """
    option, _, value = arguments[0].partition("=") if arguments else ("", "", "")
    if option not in OPTIONS:
        return None
    named = value or next(iter(arguments[1:]), None)
    shell = named or _running_shell()
    if shell not in SHELLS:
        told = f"got {named}" if named else f"but this one is {shell}"
        return f"{option} knows the shells {', '.join(SHELLS)}, {told}: name one, as in {option} bash."
    try:
        answer: str | None = OPTIONS[option](context, None, shell)
        return answer
    except OSError as error:
        return explain(error)[0]


def _running_shell() -> str:
    try:
        answer: str = shellingham.detect_shell()[0]
        return answer
    except (shellingham.ShellDetectionFailure, RuntimeError, OSError):
        return "not to be told"
