"""Training steps against a plain loop of diffusers and torch, and against the machine's own limit.

Every step runs in turns with the others on one core, products and convolutions too; medians of processor
seconds, which a busy machine hardly changes. Then both loops learn digits with several seeds, and their
losses are compared. Run::

    python benchmarks/training.py [--rounds 7] [--seeds 3] [--out results.json] [--page results.md]
"""

import argparse
import json
import platform
import statistics
from importlib.metadata import version
from pathlib import Path

import torch
from training_loops import Case, network_alone, ours, plain
from training_speeds import in_turns, operations_of, products

from spurion.data import load_split
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.denoisers.unet import UNetConfig

CASES = (
    Case("MLP (128; 3 blocks)", MLPConfig(), (1, 8, 8), 128, rate=5e-3),
    Case("U-Net (16; 1, 2)", UNetConfig(channels=16, multipliers=(1, 2), groups=16), (1, 14, 14), 64),
    Case("U-Net (32; 1, 2)", UNetConfig(channels=32, multipliers=(1, 2)), (1, 14, 14), 64),
    Case("U-Net (16; 1, 2, 2)", UNetConfig(channels=16, multipliers=(1, 2, 2), groups=16), (1, 28, 28), 32),
    Case("U-Net (32; 1, 2, 2)", UNetConfig(channels=32, multipliers=(1, 2, 2)), (1, 28, 28), 32),
    Case("U-Net (32; 1, 2, 2)", UNetConfig(channels=32, multipliers=(1, 2, 2)), (3, 16, 16), 32),
    Case("U-Net (32; 1, 2, 2)", UNetConfig(channels=32, multipliers=(1, 2, 2)), (3, 32, 32), 16),
)
SMALL = Case("U-Net (16; 1, 2)", UNetConfig(channels=16, multipliers=(1, 2), groups=16), (1, 8, 8), 64, 2e-3)
LEARNED = ((CASES[0], 1500), (SMALL, 300))
"""What learns digits, and for how many steps."""

HEAD = (
    "| network | images | batch | plain, s | ours, s | images/s | ours / plain | float32 | share of product |"
)


def speeds(rounds: int, limit: int) -> tuple[dict[str, float], list[dict[str, object]]]:
    """Operations per second of the machine, and a row for every case."""
    kinds = products()
    machine, rows = dict.fromkeys(kinds, 0.0), []
    for case in CASES[:limit]:
        images = torch.rand(256, *case.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
        loops = {
            "ours": ours(case, images),
            "ours float32": ours(case, images, "float32"),
            "plain": plain(case, images),
            "network alone": network_alone(case, images),
        }
        repeats = 40 if isinstance(case.network, MLPConfig) else 1
        found = in_turns({**loops, **{name: call for name, (call, _) in kinds.items()}}, rounds, repeats)
        here = {name: operations / found[name] for name, (_, operations) in kinds.items()}
        machine = {name: max(machine[name], value) for name, value in here.items()}
        rows.append(row(case, found, here, operations_of(case, images)))
        print(line(rows[-1]), flush=True)
    return machine, rows


def row(case: Case, found: dict[str, float], machine: dict[str, float], operations: int) -> dict[str, object]:
    """What is known about a case."""
    bf16 = case.execution().bf16
    rates = {name: operations / found[name] for name in ("ours", "ours float32", "plain")}
    return {
        "network": case.name,
        "shape": list(case.shape),
        "batch": case.batch,
        "precision": "bf16" if bf16 else "float32",
        "seconds_per_step": {name: found[name] for name in (*rates, "network alone")},
        "images_per_second": {name: case.batch / found[name] for name in rates},
        "speedup_over_plain": found["plain"] / found["ours"],
        "speedup_in_float32": found["plain"] / found["ours float32"],
        "gigaflop_per_second": {name: rate / 1e9 for name, rate in rates.items()},
        "share_of_product": rates["ours"] / machine["product bf16" if bf16 else "product float32"],
        "share_of_convolution": rates["ours"]
        / machine["convolution bf16" if bf16 else "convolution float32"],
    }


def line(row: dict) -> str:
    """A line of the table."""
    seconds, shape = row["seconds_per_step"], row["shape"]
    cells = (
        row["network"],
        f"{shape[0]} x {shape[1]} x {shape[2]}",
        row["batch"],
        f"{seconds['plain']:.4f}",
        f"{seconds['ours']:.4f} ({row['precision']})",
        f"{row['images_per_second']['ours']:.0f}",
        f"{row['speedup_over_plain']:.2f}",
        f"{row['speedup_in_float32']:.2f}",
        f"{row['share_of_product']:.0%}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def losses(seeds: int) -> list[dict[str, object]]:
    """The mean loss of the last third of short trainings, by loop and seed."""
    images, rows = load_split("digits").train.images, []
    for case, steps in LEARNED:
        found = {"ours": [], "plain": []}
        for seed in range(seeds):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                for name, loop in (("ours", ours), ("plain", plain)):
                    step = loop(case, images, seed=seed)
                    values = torch.stack([step(number) for number in range(steps)])
                    found[name].append(values[-steps // 3 :].mean().item())
        means = {name: statistics.fmean(values) for name, values in found.items()}
        spread = {name: statistics.stdev(values) for name, values in found.items()}
        error = (sum(value**2 for value in spread.values()) / seeds) ** 0.5
        rows.append(
            {"network": case.name, "steps": steps, "losses": found, "means": means}
            | {"difference_in_standard_errors": (means["ours"] - means["plain"]) / error}
        )
    return rows


def page(result: dict, command: str) -> str:
    """The table, as Markdown."""
    machine = ", ".join(f"{name} {value / 1e9:.0f}" for name, value in result["machine"].items())
    lines = ["# Training on one core", "", f"`{command}`", "", result["where"], ""]
    lines += [HEAD, "| --- " * HEAD.count(" | ") + "| --- |", *map(line, result["rows"]), ""]
    lines += [f"GFLOP/s of one core: {machine}."]
    lines += [
        "Seconds are processor seconds of a step, medians in turns; *float32* is ours in float32 over plain.",
        "Products and convolutions of a step are counted, backward as twice forward, and set against the",
        "matrix product in the precision of the training; all else in a step counts as nothing.",
        "",
    ]
    for found in result["losses"]:
        means = found["means"]
        lines.append(
            f"Loss of {found['network']} on digits, last third of {found['steps']} steps, {result['seeds']} "
            f"seeds: ours {means['ours']:.4f}, plain {means['plain']:.4f}, a difference of "
            f"{found['difference_in_standard_errors']:+.1f} standard errors between seeds."
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print a table, write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--seeds", type=int, default=3, help="trainings of each loop whose losses are compared"
    )
    parser.add_argument("--cases", type=int, default=len(CASES), help="only the first so many networks")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--page", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    machine, rows = speeds(arguments.rounds, arguments.cases)
    names = ("spurion", "torch", "diffusers")
    versions = ", ".join(
        [*(f"{name} {version(name)}" for name in names), f"Python {platform.python_version()}"]
    )
    processor = torch.cpu.get_capabilities()["cpu_name"]
    result = {
        "where": f"{processor}, {platform.machine()}, one core; {versions}.",
        "machine": machine,
        "rows": rows,
        "seeds": arguments.seeds,
        "losses": losses(arguments.seeds) if arguments.seeds > 1 else [],
    }
    text = page(
        result, f"python benchmarks/training.py --rounds {arguments.rounds} --seeds {arguments.seeds}"
    )
    print(text)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if arguments.page:
        arguments.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
