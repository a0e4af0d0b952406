"""Small jobs of every verb that writes, killed at chosen events of the files or held to a size of them.

Run as a program with a scratch folder, it imports torch once and works in forks of itself. An event is a file
opened to be written, a rename, a removal, a new folder or a flush to the disk, below the folder of the job.
"""

import json
import os
import resource
import shutil
import sys
from pathlib import Path

KILLED = 137
EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}
SMALL = (
    "training.iterations=12",
    "training.warmup=2",
    "training.batch_size=4",
    "training.checkpoint_every=5",
    "training.log_every=5",
    "denoiser.width=8",
    "denoiser.blocks=1",
)
STUDY = (
    *SMALL,
    "train_sizes=[2, 8]",
    "sampler.steps=3",
    "sampler.batch_size=8",
    "sample_size=20",
    "thresholds=fixed:1.5,1.5",
    "gallery=4",
    "geometry=null",
    "flow.steps=3",
)


def study(scratch, out):
    from spurion.studies import study

    study("digits", out=out, overrides=STUDY, workers=1)


def verb(*words):
    from spurion.cli import app

    try:
        app([str(word) for word in words])
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(end.code or 0))


def train(scratch, out):
    verb("train", "digits", "--size", 8, "--out", out, *(word for s in SMALL for word in ("--set", s)))


def sample(scratch, out):
    options = ("--count", 20, "--steps", 3, "--batch-size", 8)
    verb("sample", scratch / "model", *options, "--out", out / "samples.npz")


def audit(scratch, out):
    options = ("--generate", 20, "--steps", 3, "--thresholds", "fixed:1.5,1.5")
    verb("audit", "--train", scratch / "train.npz", "--model", scratch / "model", *options, "--out", out)


def neighbors(scratch, out):
    from spurion.neighbors import checkpoint

    checkpoint.SECONDS = 0.0
    files = ("--checkpoint", out / "search", "--out", out / "pairs.csv")
    sets = ("--queries", scratch / "train.npz", "--reference", "digits", "--memory-limit", 1e-3)
    verb("neighbors", *sets, *files)


JOBS = {job.__name__: job for job in (study, train, sample, audit, neighbors)}


def forked(job, scratch, out, *, at=None, size=None, said=os.devnull):
    """Run a job in a fork; returns its exit code and the number of events it came to.

    It is killed just before event number `at`, or no file may grow beyond `size` bytes.
    """
    counter, told = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _count(str(out), at, told)
        if size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        code = 0
        try:
            JOBS[job](scratch, out)
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            sys.stderr.flush()
            code = 1
        os._exit(code)
    os.close(told)
    with open(counter, "rb") as events:
        seen = len(events.read())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seen


def _count(folder, at, told):
    seen = 0

    def event(path):
        nonlocal seen
        if not str(path).startswith(folder):
            return
        if seen == at:
            os._exit(KILLED)
        seen += 1
        os.write(told, b".")

    def hook(name, arguments):
        writes = name == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if name in EVENTS or writes:
            event(arguments[0])

    def flushed(handle, flush=os.fsync):
        event(folder)
        flush(handle)

    os.fsync = flushed
    sys.addaudithook(hook)


def contents(folder):
    """What a job left, without times and what was half written when it was killed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_dir() or any(part.startswith(".") for part in inside.parts) or path.name in OF_TIME:
            continue
        kept = path.read_bytes()
        found[str(inside)] = timeless(json.loads(kept)) if path.name in TIMED else kept
    return found


OF_TIME = {"seconds.json", "report.html"}
TIMED = {"study.json", "point.json"}


def timeless(value):
    if isinstance(value, dict):
        return {name: timeless(inner) for name, inner in value.items() if name != "seconds"}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


def attack(job, scratch, points, sizes):
    """Kill a job at evenly chosen events, stop it at sizes of files, and go on; returns the faults."""
    whole, faults = scratch / job / "whole", []
    whole.mkdir(parents=True)
    code, events = forked(job, scratch, whole, said=scratch / "said")
    if code:
        return [f"{job}: {code} {(scratch / 'said').read_text()}"]
    expected = contents(whole)
    tries = [{"at": round((number + 0.5) * events / points)} for number in range(points)]
    for number, broken in enumerate([*tries, *({"size": size} for size in sizes)]):
        out = scratch / job / str(number)
        out.mkdir()
        code, _ = forked(job, scratch, out, **broken, said=scratch / "said")
        said = (scratch / "said").read_text()
        if "size" in broken and job != "study" and (code != 2 or "A file would be larger" not in said):
            faults.append(f"{job}, {broken}: {code} {said}")
        if "size" in broken and job == "study" and "27" not in said:
            faults.append(f"{job}, {broken}: {code} {said}")
        if "at" in broken and code != KILLED:
            faults.append(f"{job}, {broken}: not killed but {code} {said}")
        code, _ = forked(job, scratch, out, said=scratch / "said")
        found = contents(out)
        if code or found != expected:
            wrong = [name for name in {*found, *expected} if found.get(name) != expected.get(name)]
            faults.append(f"{job}, {broken}: went on with {code} {(scratch / 'said').read_text()} {wrong}")
        shutil.rmtree(out)
    return faults


def prepare(scratch):
    """A model and its training images, for the verbs that need them."""
    import numpy as np

    from spurion.data import load_split
    from spurion.diffusion.denoisers.exact import ExactDenoiser
    from spurion.diffusion.folder import save_denoiser
    from spurion.diffusion.schedule import DDPMSchedule

    images = load_split("digits").train.images[:40].clone()
    save_denoiser(ExactDenoiser(images[:8].clone(), DDPMSchedule(50)), scratch / "model")
    np.savez(scratch / "train.npz", samples=images.numpy())


if __name__ == "__main__":
    place = Path(sys.argv[1])
    import torch

    # what the forks import, they have from here
    import spurion.cli
    import spurion.diffusion.denoisers.mlp
    import spurion.report
    import spurion.studies.sweep

    spurion.report.FIGURES = {"distances": spurion.report.FIGURES["distances"]}
    torch.set_num_threads(1)
    prepare(place)
    plans = json.loads(sys.argv[2])
    sys.stdout.write(json.dumps({job: attack(job, place, *plan) for job, plan in plans.items()}))
