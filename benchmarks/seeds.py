"""What finished studies of several seeds agree on: capacities with intervals, and their spread.

    spurion study digits --out runs/seed0 --set seed=0 --set geometry=null  # and others
    python benchmarks/seeds.py runs/seed* --untouched 8 9 --out seeds.json --page seeds.md

For every capacity: the mean over seeds, the coefficient of variation (standard deviation over mean), and in
how many ordered pairs of different seeds the interval of the first holds the value of the second. The seeds
named `--untouched` were not looked at while the rule was made; they are summarized by themselves too.
"""

import argparse
import json
import statistics
from itertools import permutations
from pathlib import Path

from spurion.phases.classification import CLASSES
from spurion.studies.results import StudyResult

KINDS = {
    "MC": "memorization capacity",
    "SC": "spurious capacity",
    "GC": "generalization capacity",
    "leak 90 %": "leak excess falls to 90 %",
    "leak 50 %": "leak excess falls to half",
    "leak 0": "leak excess falls to nothing",
}

ASKED = ("MC", "SC", "GC")
"""The capacities with a bar."""

MOST_VARIATION, LEAST_PAIRS = 0.12, 0.8


def read(folder):
    """The capacities of a finished study, and what it was made with."""
    found = StudyResult.model_validate_json((folder / "study.json").read_text())
    named = {}
    if found.capacities is not None:
        three = found.capacities.memorization, found.capacities.spurious, found.capacities.generalization
        named |= dict(zip(ASKED, three, strict=True))
    if found.leak_capacities is not None:
        leaks = found.leak_capacities
        named |= {"leak 90 %": leaks.most, "leak 50 %": leaks.half, "leak 0": leaks.none}
    audits = list(found.audits.values())
    rules = {(audit.thresholds.memorized, audit.thresholds.spurious) for audit in audits if audit.thresholds}
    return {
        "seed": found.config["seed"],
        "rule": found.config["thresholds"],
        "thresholds": sorted(rules)[0] if len(rules) == 1 else None,
        "training_sizes": [audit.train_size for audit in audits],
        "samples": sorted({audit.sample_size for audit in audits}),
        "versions": found.environment.get("versions", {}),
        "capacities": {name: capacity.model_dump(mode="json") for name, capacity in named.items()},
        "shares": {
            audit.train_size: audit.fractions.model_dump(mode="json") for audit in audits if audit.fractions
        },
    }


def holds(interval, other):
    """Whether the interval of one capacity holds another; its open ends reach beyond the grid."""
    low, high = interval["low"], interval["high"]
    if other["value"] is None:
        return high is None if other["bracket"][1] is None else low is None
    return (low is None or low <= other["value"]) and (high is None or other["value"] <= high)


def summary(studies):
    """Mean, spread and agreement of every capacity over studies."""
    found = {}
    for name in KINDS:
        known = [study["capacities"][name] for study in studies if name in study["capacities"]]
        values = [capacity["value"] for capacity in known if capacity["value"] is not None]
        pairs = [holds(one, other) for one, other in permutations(known, 2)]
        found[name] = {
            "seeds": len(known),
            "beyond_the_grid": len(known) - len(values),
            "mean": statistics.fmean(values) if values else None,
            "variation": statistics.stdev(values) / statistics.fmean(values) if len(values) > 1 else None,
            "pairs": len(pairs),
            "pairs_held": sum(pairs),
        }
    return found


def narrow(studies):
    """How much wider shares spread over seeds than the interval of one says, by training size and class.

    The ratio of standard deviations: over seeds, and of an interval that reaches 1.96 to either side.
    """
    found = {}
    if len(studies) < 2:
        return found
    for size in set.intersection(*(set(study["shares"]) for study in studies)):
        for name in CLASSES:
            shares = [study["shares"][size][name] for study in studies]
            middle = statistics.fmean(share["value"] for share in shares)
            if 0.1 <= middle <= 0.9:
                width = statistics.fmean(share["high"] - share["low"] for share in shares) / 3.92
                found[f"{name}, K = {size}"] = statistics.stdev(share["value"] for share in shares) / width
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def verdicts(found):
    """What the bars say of each capacity that has one."""
    said = {}
    for name in ASKED:
        row = found[name]
        if row["variation"] is None or row["beyond_the_grid"]:
            said[name] = "not decided"
            continue
        missed = [
            *(["variation"] if row["variation"] > MOST_VARIATION else []),
            *(["pairs"] if row["pairs_held"] < LEAST_PAIRS * row["pairs"] else []),
        ]
        said[name] = "missed: " + " and ".join(missed) if missed else "met"
    return said


def in_words(capacity):
    ends = [f"{capacity[name]:.0f}" if capacity[name] is not None else "open" for name in ("low", "high")]
    value = "beyond" if capacity["value"] is None else f"{capacity['value']:.0f}"
    return f"{value} ({ends[0]}–{ends[1]})"


def table(result):
    """The table of the seeds and that of the summary, as Markdown."""
    lines = [f"| seed | {' | '.join(KINDS)} |", "| ---: |" + " ---: |" * len(KINDS)]
    for study in result["studies"]:
        cells = [
            in_words(study["capacities"][name]) if name in study["capacities"] else "–" for name in KINDS
        ]
        star = "*" if study["seed"] in result["untouched"] else ""
        lines.append(f"| {study['seed']}{star} | {' | '.join(cells)} |")
    for title, found, said in (
        ("all seeds", result["all"], result["bars"]),
        ("untouched seeds", result["of_untouched"], result["bars_of_untouched"]),
    ):
        if not found or not found["MC"]["seeds"]:
            continue
        lines += ["", f"| {title} | mean | variation | ordered pairs held | bars |"]
        lines += ["| --- | ---: | ---: | ---: | --- |"]
        for name, row in found.items():
            mean = "–" if row["mean"] is None else f"{row['mean']:.0f}"
            variation = "–" if row["variation"] is None else f"{100 * row['variation']:.1f} %"
            share = f" ({row['pairs_held'] / row['pairs']:.0%})" if row["pairs"] else ""
            pairs = f"{row['pairs_held']} of {row['pairs']}{share}"
            lines.append(
                f"| {name}: {KINDS[name]} | {mean} | {variation} | {pairs} | {said.get(name, '–')} |"
            )
    if result["narrow"]:
        ratios = list(result["narrow"].items())
        lines += [
            "",
            f"Shares between .1 and .9 spread over seeds {statistics.median(result['narrow'].values()):.1f} "
            f"times as widely as the interval of one seed says (median); {ratios[0][1]:.1f} times at most "
            f"({ratios[0][0]}).",
        ]
    return "\n".join(lines)


PAGE = """# Capacities of digits over seeds

Made by `benchmarks/seeds.py` from finished runs of

```
spurion study digits --out runs/seedN --set seed=N --set geometry=null
python benchmarks/seeds.py runs/seed*{untouched} \\
  --out results/digits-seeds.json --page results/digits-seeds.md
```

Seeds {seeds}; each trains a model for every K of {sizes}, and draws {samples} samples of each. Rule `{rule}`;
{versions}. {note}

{table}

A value with its 95 % interval; "open" is beyond the grid of K. * was not looked at while the rule was made.
Bars: a variation (standard deviation over mean) of 12 % at most, and 80 % of the ordered pairs of seeds held:
the interval of one seed holds the value of another.
"""


def page(result, note):
    first, untouched = result["studies"][0], result["untouched"]
    versions = ", ".join(f"{name} {first['versions'].get(name)}" for name in ("spurion", "torch", "numpy"))
    return PAGE.format(
        untouched=" --untouched " + " ".join(map(str, untouched)) if untouched else "",
        note=note,
        seeds=", ".join(str(study["seed"]) for study in result["studies"]),
        sizes=", ".join(map(str, first["training_sizes"])),
        samples=" or ".join(f"{count:,}" for count in first["samples"]),
        rule=first["rule"],
        versions=versions,
        table=table(result),
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folders", type=Path, nargs="+", help="finished runs of one study, of different seeds"
    )
    parser.add_argument("--untouched", type=int, nargs="*", default=[], help="seeds that were not looked at")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    parser.add_argument("--page", type=Path, help="where to write the table as Markdown")
    parser.add_argument("--note", default="", help="a sentence for the page")
    options = parser.parse_args()
    studies = sorted((read(folder) for folder in options.folders), key=lambda study: study["seed"])
    seeds = [study["seed"] for study in studies]
    if len(set(seeds)) < len(seeds):
        parser.error(f"each seed must be there once, got {seeds}")
    untouched = [seed for seed in seeds if seed in options.untouched]
    result = {"studies": studies, "untouched": untouched, "all": summary(studies)}
    result["of_untouched"] = summary([study for study in studies if study["seed"] in untouched])
    result["narrow"] = narrow(studies)
    result["bars"] = verdicts(result["all"])
    result["bars_of_untouched"] = verdicts(result["of_untouched"])
    print(table(result))
    for path, text in ((options.out, json.dumps(result, separators=(",", ":")) + "\n"), (options.page, None)):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(page(result, options.note) if text is None else text)


if __name__ == "__main__":
    main()
