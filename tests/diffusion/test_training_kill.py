"""A training killed by the operating system, at moments it does not choose, ends as one left alone."""

import multiprocessing
import signal
import time

from spurion.data import load_split
from spurion.diffusion.denoisers.network_config import MLPConfig
from spurion.diffusion.schedule import DDPMSchedule
from spurion.diffusion.training import TrainingConfig, train

TRAINING = TrainingConfig(
    iterations=300, batch_size=16, replacement=False, log_every=7, checkpoint_every=10, device="cpu"
)


def start(folder):
    """Train in a process of its own, forked from one that has imported everything."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["spurion.diffusion.training"])
    images = load_split("digits").train.images[:32].clone()
    process = processes.Process(
        target=train,
        args=(images, MLPConfig(width=32), TRAINING),
        kwargs={"schedule": DDPMSchedule(), "seed": 0, "folder": folder},
    )
    process.start()
    return process


def wait_for(path):
    """Until a training has begun: starting a process is not what is tested."""
    while not path.exists():
        time.sleep(0.005)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_killed_five_times_the_bytes_are_those_of_an_undisturbed_run(tmp_path):
    whole = start(tmp_path / "whole")
    wait_for(tmp_path / "whole" / "training.jsonl")
    begun = time.monotonic()
    whole.join()
    seconds = time.monotonic() - begun
    assert whole.exitcode == 0
    ends = []
    for part in (0.05, 0.11, 0.17, 0.23, 0.29):
        process = start(tmp_path / "killed")
        wait_for(tmp_path / "killed" / "training.jsonl")
        time.sleep(part * seconds)
        process.kill()
        process.join()
        ends.append(process.exitcode)
    assert ends.count(-signal.SIGKILL) >= 3  # the last ones may have come too late
    last = start(tmp_path / "killed")
    last.join()
    assert last.exitcode == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
