"""The command line: ``spurion VERB ...`` and ``python -m spurion VERB ...``.

Results go to standard output, progress and complaints to standard error. Exit codes: 0 done, 1 a requested
gate failed, 2 bad input or usage, 3 an inconclusive gate, 70 a fault of Spurion itself, 130 interrupted.
Nothing heavy is imported before a verb runs, so that help is quick.
"""

from spurion.cli.commands import app, main

__all__ = ["app", "main"]
