"""Time and peak memory of a whole audit, from files to the report, on synthetic images with planted copies.

    python benchmarks/audit.py --out audit.json
    python benchmarks/audit.py --no-holdout --threads 2
    python benchmarks/audit.py --quick

Images have 256 gray levels and a spectrum like that of photographs. Of the samples, a tenth are noisy copies
of training images, a twentieth are mutual near-duplicates, the rest are new; a hundred training images are
there twice. The audit runs in a process of its own, whose peak memory is all of it: interpreter, images
and work.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

NOISE = 2
"""Standard deviation of the noise of planted copies, in gray levels."""

TWICE = 100
"""Training images that are in the set twice."""


def main():
    options = arguments()
    if options.folder:
        print(json.dumps(audited(options.folder, options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        planted = write(Path(folder), options)
        flags = ["--threads", str(options.threads), *(["--no-holdout"] if options.no_holdout else [])]
        command = [sys.executable, __file__, "--folder", folder, *flags]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    result = {name: getattr(options, name) for name in ("train", "samples", "side", "threads")}
    result |= {"holdout": 0 if options.no_holdout else options.holdout, "torch": torch.__version__}
    result |= {"planted": planted, **found}
    print(json.dumps(result, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=int, default=50_000)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--holdout", type=int, default=10_000)
    parser.add_argument("--no-holdout", action="store_true")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="a tenth of the images")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.train, options.samples, options.holdout = 5_000, 1_000, 1_000
    return options


def write(folder, options):
    """Write the three sets and return what was planted."""
    random = np.random.default_rng(0)
    train = images(options.train, options.side, random)
    train[-TWICE:] = train[:TWICE]
    copies, repeats = options.samples // 10, options.samples // 20
    source = random.integers(0, len(train), copies)
    groups = images(repeats // 5, options.side, random).repeat(5, axis=0)
    near = [noisy(part, random) for part in (train[source], groups)]
    new = images(options.samples - copies - len(groups), options.side, random)
    samples = np.concatenate([*near, new])
    random.shuffle(samples)
    sets = {"train": train, "samples": samples, "holdout": images(options.holdout, options.side, random)}
    for name, values in sets.items():
        np.savez(folder / f"{name}.npz", arr_0=values)
    return {"memorized": copies, "spurious": len(groups), "duplicate_groups": TWICE}


def images(count, side, random):
    """Bytes whose power falls off with the square of their frequency, as in photographs."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]).clip(1 / side)
    parts = []
    for first in range(0, count, 1000):
        white = random.standard_normal((min(1000, count - first), 3, side, side), dtype=np.float32)
        colored = np.fft.irfft2(np.fft.rfft2(white) / frequency, (side, side))
        colored *= 55 / colored.std()
        parts.append((colored + 128).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1))
    return np.concatenate(parts)


def noisy(values, random):
    noise = random.normal(0, NOISE, values.shape).astype(np.float32)
    return (values + noise).round().clip(0, 255).astype(np.uint8)


def audited(folder, options):
    """Audit the files of a folder, write the report, and measure the process."""
    import spurion
    import spurion.report

    torch.set_num_threads(options.threads)
    seconds, clock = {}, [time.perf_counter(), time.process_time(), "start"]

    def stage(name, done, total):
        if name != clock[2]:
            now = time.perf_counter()
            seconds[clock[2]] = seconds.get(clock[2], 0) + now - clock[0]
            clock[0], clock[2] = now, name

    begin = time.perf_counter()
    found = spurion.audit(
        folder / "train.npz",
        folder / "samples.npz",
        None if options.no_holdout else folder / "holdout.npz",
        out=folder / "audit",
        progress=stage,
    )
    stage("report", 0, 1)
    spurion.report.write_report(folder / "audit")
    stage("end", 0, 1)
    return {
        "seconds": time.perf_counter() - begin,
        "processor_seconds": time.process_time() - clock[1],
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "stages": seconds,
        "counts": found.counts,
        "duplicate_groups": len(found.train_duplicates),
    }


if __name__ == "__main__":
    main()
