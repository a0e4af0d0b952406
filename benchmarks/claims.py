"""The paper's claims against finished studies: effects with intervals, and verdicts by one rule.

    python benchmarks/claims.py runs/digits results/digits-seeds.json runs/emoji-small ...
    python benchmarks/claims.py runs/digits --page docs/claims.md --out claims.json

A run is the folder of a finished study of any recipe, a `study.json`, or a summary by `benchmarks/seeds.py`.
Studies of one name and setting are seeds of one study. Studies of one name that differ in a width, in the
iterations or in the number of samples also show what `VARIED` claims; the first setting that was given is
the one for all other claims. The rule of the verdicts and the claims are in `claims_rules.py`.
"""

import argparse
import json
import math
import sys
from pathlib import Path

from claims_read import read
from claims_rules import CLAIMS, RULE, VARIED, over_seeds, verdict


def effect_of(claim, studies):
    """The effect over seeds, each counted once, and how many there are."""
    by_seed = {}
    for found in studies:
        effect = claim.effect(found)
        if effect is not None:
            by_seed.setdefault(found.seed, effect)
    return over_seeds(list(by_seed.values())), len(by_seed)


def settings(studies):
    """Studies by their setting, those of an unknown one with the first; each a list of seeds."""
    groups = []
    for found in studies:
        for group in groups:
            if found.setting is None or group[0].setting is None or found.setting == group[0].setting:
                group.append(found)
                break
        else:
            groups.append([found])
    return groups


def varied(fields, groups):
    """Pairs of studies of one seed: those of the largest and of the smallest value of one field.

    Of settings that differ in nothing else, those with most values; the first where there are as many.
    """
    families = [family(field, group[0].setting or {}, groups) for group in groups for field in fields]
    known = max(families, key=len)
    if len(known) < 2:
        return []
    large, small = known[max(known)], known[min(known)]
    return [(large[seed], small[seed]) for seed in large if seed in small]


def family(field, base, groups):
    """The studies by seed, by the value of a field, whose settings are a base but for that field."""
    values = {}
    for group in groups:
        setting = group[0].setting or {}
        differing = {name for name in {*base, *setting} if base.get(name) != setting.get(name)}
        if field in setting and differing <= {field}:
            values[_number(setting[field])] = {one.seed: one for one in group}
    return values


def _number(value):
    """A size as a number; multiples of K such as 4x stand in their own order."""
    return float(str(value).removesuffix("x"))


def judged(studies):
    """What studies of one name show of every claim."""
    groups = settings(studies)
    rows = [(claim, *effect_of(claim, groups[0])) for claim in CLAIMS]
    for fields, claim in VARIED:
        effects = [claim.effect(*pair) for pair in varied(fields, groups)]
        known = [effect for effect in effects if effect is not None]
        rows.append((claim, over_seeds(known), len(known)))
    return [
        {
            "claim": claim.text,
            "shown_by": claim.shown_by,
            "source": claim.source,
            "value": _shown(claim, effect, "value"),
            "low": _shown(claim, effect, "low"),
            "high": _shown(claim, effect, "high"),
            "seeds": seeds,
            "verdict": verdict(effect, claim.bar),
        }
        for claim, effect, seeds in rows
    ]


def _shown(claim, effect, end):
    """A number of an effect as it is shown; None if there is none, or it is open."""
    number = None if effect is None else getattr(effect, end)
    if number is None or math.isinf(number):
        return None
    return math.exp(number) if claim.ratio else number


def cell(row):
    """An effect in words, with its verdict."""
    if not row["seeds"]:
        return row["verdict"]
    seeds = f", {row['seeds']} seeds" if row["seeds"] > 1 else ""
    if row["value"] is None:
        return f"no number{seeds}: {row['verdict']}"
    low, high = ("open" if row[end] is None else f"{row[end]:.3g}" for end in ("low", "high"))
    return f"{row['value']:.3g} ({low} to {high}){seeds}: **{row['verdict']}**"


def table(found):
    """The claims by what was found for each name, as Markdown."""
    names = list(found)
    head = ["claim", "shown by", "from", *(f"`{name}`" for name in names)]
    lines = [f"| {' | '.join(head)} |", "| --- | --- | --- |" + " --- |" * len(names)]
    for rows in zip(*found.values(), strict=True):
        first = rows[0]
        cells = [first["claim"], first["shown_by"], first["source"], *map(cell, rows)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


PAGE = """# The paper's claims, and what was found here

Made from committed results by

```
python benchmarks/claims.py {runs} --page docs/claims.md
```

{rule}

Values are effects with their intervals; where several seeds were run, their number stands beside it.
A ratio is the geometric mean over seeds. An AUC is the mean over all training sizes at which both classes
could be measured; of one seed, its interval takes models of different sizes for draws of one kind.

{table}

"Not measured" means that no study that is committed here measured it. Figures, appendices and
equations are those of [Pham et al. (2025)](https://arxiv.org/abs/2505.21777) and of its workshop version,
unless another work is named.
"""


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", help="folders of finished studies, or summaries of seeds")
    parser.add_argument("--page", type=Path, help="where to write the page")
    parser.add_argument("--out", type=Path, help="where to write JSON")
    options = parser.parse_args()
    try:
        studies = [found for run in options.runs for found in read(run)]
    except ValueError as error:
        sys.exit(f"{error}")
    names = dict.fromkeys(found.name for found in studies)
    found = {name: judged([one for one in studies if one.name == name]) for name in names}
    print(table(found))
    if options.page:
        page = PAGE.format(runs=" ".join(options.runs), rule=RULE, table=table(found))
        options.page.write_text(page, encoding="utf-8")
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
