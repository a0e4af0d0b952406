"""Processor seconds until the package is there, help is shown, or a mistake is told.

Every command runs in a process of its own, all in turns; medians. Run::

    python benchmarks/startup.py [--rounds 9] [--out results.json]

What takes long is shown by ``python -X importtime -m spurion --help``.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path

COMMANDS = {
    "python, nothing imported": ("-c", "pass"),
    "import spurion": ("-c", "import spurion"),
    "spurion --version": ("-m", "spurion", "--version"),
    "spurion --help": ("-m", "spurion", "--help"),
    "spurion study --help": ("-m", "spurion", "study", "--help"),
    "a path that is not there": ("-m", "spurion", "audit", "--train", "/nowhere", "--samples", "/nowhere"),
    "an option that is missing": ("-m", "spurion", "sample", "/nowhere"),
    "import torch": ("-c", "import torch"),
    "spurion doctor": ("-m", "spurion", "doctor"),
}


def seconds(command: tuple[str, ...]) -> float:
    """Processor seconds of one run, of the user and of the system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(arguments.rounds):
        for name, command in COMMANDS.items():
            found[name].append(seconds(command))
    medians = {name: round(statistics.median(values), 3) for name, values in found.items()}
    for name, value in medians.items():
        print(f"{name:28} {value:7.3f} s")
    if arguments.out:
        arguments.out.write_text(json.dumps({"python": sys.version, "seconds": medians}, indent=1) + "\n")


if __name__ == "__main__":
    main()
