"""A finished study as a folder to be committed: its result, some figures, and how it was made.

    spurion study digits --out runs/digits
    python benchmarks/publish.py runs/digits results/digits

The folder gets `study.json` (all numbers, no image; of the machine only its kind), the figures as PNG, and
`README.md` with the command, versions, seed and the main table. A figure that pictures images is left out
unless a license of the data set allows it. The same run gives the same bytes.
"""

import argparse
import json
import platform
import shlex
import shutil
import sys
from pathlib import Path

from spurion.audits.checks.rights import credits
from spurion.data import DATASETS
from spurion.report.run import read_run
from spurion.studies.config import resolve_config
from spurion.studies.recipes import RECIPES

FIGURES = {
    "transition": "Shares of memorized, spurious and generalized samples against the training-set size K.",
    "basins": "How much noise the states survive, and how large their basins are.",
    "directions": "Soft directions of the energy around the states.",
    "energies": "Energies of the states relative to one another.",
    "examples": "For each class and K: a sample, its nearest training image, its nearest other sample.",
}
"""What is published of the figures of a report that are there."""

PICTURES = ("examples",)
"""Those of them that show images."""

PAGE = """# The study `{name}`

Made by Spurion {spurion} with

```
{command}
python benchmarks/publish.py RUN {out}
```

{credit}| K | samples | memorized | spurious | generalized |
| ---: | ---: | ---: | ---: | ---: |
{rows}

Shares with 95 % intervals, by the rule `{rule}` in the distance {distance}.

{capacities}

{figures}

Seed {seed}; {versions}; {machine}, {device}, {cores} cores, {hours:.1f} hours of all stages together. All
numbers are in `study.json`, which holds no image.
"""


def _flat(values, before=""):
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def command(config):
    """The command that makes a study of this configuration; a recipe with what differs from it."""
    name = config["name"]
    if name not in RECIPES:
        return f"spurion study {name}.yaml"
    usual = dict(_flat(resolve_config(RECIPES[name]()).model_dump(mode="json")))
    changed = {key: value for key, value in _flat(config) if usual.get(key, ...) != value}
    sets = [f"--set {shlex.quote(f'{key}={json.dumps(value)}')}" for key, value in changed.items()]
    return " ".join([f"spurion study {name}", *sets])


def share(interval):
    return f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"


def rows(study):
    """Class shares of every training size."""
    for point in sorted(study.points, key=lambda point: point.train_size):
        found = point.audit and point.audit.fractions
        shares = (
            [share(getattr(found, kind)) for kind in ("memorized", "spurious", "generalized")]
            if found
            else ["failed" if point.audit is None else "no threshold", "", ""]
        )
        yield f"| {point.train_size} | {point.sample_size:,} | {' | '.join(shares)} |"


def capacities(study):
    if study.capacities is None:
        return "No capacities were found."
    told = []
    for kind in ("memorization", "spurious", "generalization"):
        found = getattr(study.capacities, kind)
        low, high = ("open" if end is None else f"{end:.0f}" for end in (found.low, found.high))
        value = found.note if found.value is None else f"K = {found.value:.0f} ({low}–{high})"
        told.append(f"{kind} capacity: {value.rstrip('.')}")
    return ". ".join(one[:1].upper() + one[1:] for one in told) + "."


def credited(study):
    """The sets of a study, with the rights that are known today where an older one stored none."""
    for source in (study.train, study.holdout):
        if source is not None:
            known = DATASETS.get(source.name.removesuffix(" (held out)"))
            rights = source.rights or (known and known.rights)
            yield source.model_copy(update={"rights": rights})


def pictures_allowed(study):
    """Whether images may be shown: those of all sets have a license, or nobody's has to be named."""
    known = [source.rights for source in credited(study) if source.rights is not None]
    return all(rights.license for rights in known)


def published(study):
    """The values of `study.json`, with nothing of the machine but its kind."""
    values = study.to_json()
    system = str(values["environment"].get("platform", "")).partition("-")[0]
    values["environment"] = {**values["environment"], "platform": system or platform.system()}
    return values


def publish(run, out):
    """Write the folder.

    Arguments:
        run: The folder of a finished study of images, with its report.
        out: The folder to write; what it holds of these files is replaced.

    Raises:
        ValueError: If there is no such study, it is damaged, or its figures are missing.
    """
    study = read_run(run).study
    if study is None:
        raise ValueError(f"{run} holds an audit; give the folder of a finished study.")
    allowed = [name for name in FIGURES if name not in PICTURES or pictures_allowed(study)]
    found = [name for name in allowed if (run / "figures" / f"{name}.png").is_file()]
    if "transition" not in found:
        raise ValueError(f"{run} has no figures; make them with `spurion report {run}`.")
    out.mkdir(parents=True, exist_ok=True)
    for name in found:
        shutil.copyfile(run / "figures" / f"{name}.png", out / f"{name}.png")
    values = published(study)
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    (out / "study.json").write_text(text + "\n", encoding="utf-8")
    (out / "README.md").write_text(page(study, values["environment"], found, out), encoding="utf-8")


def page(study, environment, figures, out):
    versions = environment.get("versions", {})
    first = next(iter(study.audits.values()), None)
    return PAGE.format(
        name=study.name,
        spurion=versions.get("spurion", ""),
        command=command(study.config),
        out=out.as_posix(),
        credit="".join(f"{claim.sentence}\n\n" for claim in credits(credited(study))),
        rows="\n".join(rows(study)),
        rule=study.config["thresholds"],
        distance="none" if first is None else first.distance.name,
        capacities=capacities(study),
        figures="\n\n".join(f"![{FIGURES[name]}]({name}.png)" for name in figures),
        seed=study.config["seed"],
        versions=", ".join(f"{name} {versions[name]}" for name in ("torch", "diffusers") if name in versions),
        machine=f"{environment['platform']} {environment.get('machine', '')}".strip(),
        device=environment.get("accelerator") or environment.get("device", "cpu"),
        cores=environment.get("cores", "?"),
        hours=sum(sum(point.seconds.values()) for point in study.points) / 3600,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the folder of a finished study")
    parser.add_argument("out", type=Path, help="the folder to write, such as results/digits")
    options = parser.parse_args()
    try:
        publish(options.run, options.out)
    except ValueError as error:
        sys.exit(f"{error}")
    print(f"{options.out / 'README.md'}")


if __name__ == "__main__":
    main()
