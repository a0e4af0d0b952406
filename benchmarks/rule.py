"""What the `null` rule of thresholds promises, measured: false calls, planted copies, gates, intervals.

    python benchmarks/rule.py --out rule.json
    python benchmarks/rule.py --only calls planted --seed 1
    python benchmarks/rule.py --quick

- calls: of exchangeable draws (training, held-out and "generated" images of one law) no more than 1.5 % are
  called memorized, or spurious, at a nominal share of 1 %; with held-out images and without.
- planted: shares of planted copies and repeated images are found within .02, and alike at 500, 1,000 and
  2,000 samples, up to a jitter of .6 of the real spacing. Where the law of distances puts the threshold
  nearer than the jitter, they cannot be; `reach` is that distance in units of the spacing.
- audits: a gate never fails for honest images of awkward kinds, false calls are 3 % at most.
- intervals: those of an audit hold planted shares in 90 % of the runs; those of a study of 12 training sizes
  with 2,000 samples each take less than ten seconds.

Every number is a mean over draws with its standard error. A row that misses its bar says `MISSED`, and `open`
where it is asked for none, or where two standard errors do not decide.
"""

import argparse
import json
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from rule_audits import SCENES, honest_audits
from rule_calls import COMMON, TRAIN, false_calls, planted_shares
from rule_intervals import interval_holds, study_seconds

LAWS_OF_CALLS = {
    ("uniform, 2-d", "l2"): 20,
    ("curved, 3-d in 5-d", "l2"): 20,
    ("clusters, sizes 1:7", "l2"): 20,
    ("clusters, scales 1:7", "l2"): 20,
    ("clusters, both 1:7", "l2"): 20,
    ("Student t3, 5-d", "l2"): 20,
    ("Gauss, 16-d", "l2"): 20,
    ("Gauss, 768-d", "l2"): 8,
    ("photos 3x32x32", "features"): 8,
    ("photos 3x32x32", "lpips-alex"): 10,
}
"""How many draws of each law there are, under which distance."""

QUICK = "uniform, 2-d"
"""The law of the false calls of a quick run."""


def calls(options):
    held_out = (150, 500) if options.quick else (150, 500, 2000)
    for (law, distance), runs in LAWS_OF_CALLS.items():
        if options.quick and law != QUICK:
            continue
        samples = SAMPLES[: 2 if options.quick else 3 if distance.startswith("lpips") else 4]
        found = {}
        for run in range(3 if options.quick else runs):
            random = torch.Generator().manual_seed(1000 * options.seed + run)
            for h, count, *values in false_calls(law, distance, held_out, samples, random):
                found.setdefault((h, count), []).append(values)
        for (h, count), rows in found.items():
            told = [row for row in rows if row[2] is not None]
            row = {"law": law, "distance": distance, "held_out": h, "samples": count, "runs": len(rows)}
            row |= {"without_thresholds": len(rows) - len(told)}
            row |= {name: mean([r[at] for r in told]) for at, name in enumerate(("dimension", "by_law"))}
            row |= summary("memorized", [r[2] for r in told]) | summary("spurious", [r[3] for r in told])
            yield row | {"ok": within_bar(row, 0.015)}


def within_bar(row, bar):
    """Whether both false shares keep a bar; None where they may by chance: within two standard errors."""
    beyond = [
        (row[name] - bar, 2 * (row[f"{name}_error_of_mean"] or 0.0)) for name in ("memorized", "spurious")
    ]
    if all(above <= 0 for above, _ in beyond):
        return True
    return None if all(above <= error for above, error in beyond) else False


SAMPLES = (500, 1000, 2000, 4000)
"""Numbers of samples; 4,000 vectors of LPIPS would take as long as all the rest."""

JITTERS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def planted(options):
    laws = ("digits",) if options.quick else ("digits", "Gauss, 16-d", "photos 3x16x16")
    jitters = (0.0, 0.4) if options.quick else JITTERS
    for law in laws:
        for masses in ("Zipf",) if options.quick else ("uniform", "Zipf"):
            for jitter in jitters:
                yield from planted_rows(law, masses, jitter, 2 if options.quick else 6, options.seed)


def planted_rows(law, masses, jitter, runs, seed):
    found = {}
    for run in range(runs):
        random = torch.Generator().manual_seed(1000 * seed + run)
        for count, *values in planted_shares(law, masses, jitter, (500, 1000, 2000), random):
            found.setdefault(count, []).append(values)
    means = {}
    for count, rows in found.items():
        row = {"law": law, "masses": masses, "jitter": jitter, "samples": count, "runs": runs}
        row |= {name: mean([r[at] for r in rows]) for name, at in (("dimension", 0), ("reach", 1))}
        row |= summary("memorized_error", [r[2] - r[3] for r in rows])
        means[count] = row | summary("spurious_error", [r[4] - r[5] for r in rows])
    errors = [[row[f"{name}_error"] for row in means.values()] for name in ("memorized", "spurious")]
    alike = max(max(values) - min(values) for values in errors)
    for row in means.values():
        within = max(abs(row["memorized_error"]), abs(row["spurious_error"]))
        asked = jitter <= 0.6
        yield row | {"spread": alike, "ok": within <= 0.02 and alike <= 0.02 if asked else None}


def audits(options):
    for scene in SCENES:
        for held_out in (True, False):
            if options.quick and (held_out or "noise" not in scene):
                continue
            runs = 1 if options.quick else 4
            outcomes, shares, said = honest_audits(scene, held_out, runs, 1000 * options.seed)
            row = {"scene": scene, "held_out": held_out, "runs": runs, "outcomes": outcomes}
            row |= summary("memorized", [r[0] for r in shares]) | summary("spurious", [r[1] for r in shares])
            yield row | {"said": said, "ok": "fail" not in outcomes and within_bar(row, 0.03)}


CELLS = [
    (law, shares, h, count)
    for law, shares, sizes, counts in (
        ("Gauss, 16-d", (0.4, 0.25), (150, 500, 2000), (500, 2000)),
        ("Gauss, 16-d", (0.1, 0.1), (500,), (500, 2000)),
        ("photos 3x16x16", (0.4, 0.25), (500,), (500, 2000)),
    )
    for h in sizes
    for count in counts
]


def intervals(options):
    runs, every = (4 if options.quick else 30), []
    for law, shares, h, count in CELLS[:1] if options.quick else CELLS:
        rows = []
        for run in range(runs):
            random = torch.Generator().manual_seed(1000 * options.seed + run)
            rows.append(interval_holds(law, shares, h, count, random))
        every += rows
        row = {"law": law, "copied": shares[0], "repeated": shares[1], "held_out": h, "samples": count}
        yield row | coverage(rows) | {"ok": None}
    row = {"law": "all", "copied": None, "repeated": None, "held_out": None, "samples": None}
    row |= coverage(every)
    yield row | {"ok": min(row["memorized"], row["spurious"]) >= 0.9}


def coverage(rows):
    names = ("memorized", "memorized_with_false", "spurious", "spurious_with_false")
    return {"runs": len(rows)} | dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))


def seconds(options):
    points, samples = (3, 500) if options.quick else (12, 2000)
    took = study_seconds(points, samples, torch.Generator().manual_seed(options.seed))
    yield {"training_sizes": points, "samples": samples, "seconds": took, "ok": took < 10}


SECTIONS = {
    "calls": calls,
    "planted": planted,
    "audits": audits,
    "intervals": intervals,
    "seconds": seconds,
}


def mean(values):
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def summary(name, values):
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return {name: mean(values), f"{name}_error_of_mean": error}


def main(words=None):
    options = arguments(words)
    torch.set_num_threads(1)
    head = {name: version(name) for name in ("spurion", "torch", "numpy")}
    head |= {"seed": options.seed, "quick": options.quick, "train": TRAIN, "sample_size": COMMON}
    sections = known(options.out, head)
    for name in options.only:
        begun, rows = time.process_time(), []
        for row in SECTIONS[name](options):
            if not rows:
                print(f"\n{name}: {', '.join(row)}")
            print(" | ".join(told(*item) for item in row.items()), flush=True)
            rows.append(row)
        missed = sum(row["ok"] is False for row in rows)
        sections[name] = {"processor_seconds": time.process_time() - begun, "missed": missed, "rows": rows}
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(head | {"sections": sections}, separators=(",", ":")) + "\n")
    seconds = sum(section["processor_seconds"] for section in sections.values())
    missed = ", ".join(f"{name} {section['missed']}" for name, section in sections.items())
    print(f"\nrows that missed their bar: {missed}; {seconds:.0f} seconds of one core")


def known(path, head):
    """The sections that a file holds already, if it is of the same versions, seed and cases."""
    if path is None or not path.exists():
        return {}
    found = json.loads(path.read_text())
    sections = found.pop("sections")
    return sections if found == head else {}


def told(name, value):
    if isinstance(value, bool):
        yes, no = ("ok", "MISSED") if name == "ok" else ("yes", "no")
        return yes if value else no
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "nothing"
    return ("open" if name == "ok" else "-") if value is None else str(value)


def arguments(words):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="few cases and draws, in seconds")
    parser.add_argument("--out", type=Path, help="where to write the JSON, or what it lacks")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
