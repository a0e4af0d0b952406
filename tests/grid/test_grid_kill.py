"""A grid killed by the operating system, at moments it does not choose, ends as one left alone."""

import json
import multiprocessing
import signal
import time

import spurion
from grid.grid_study import SMALL

OVER = {"training.iterations": (60, 120, 180), "sample_size": (12, 20)}


def begin(folder):
    """Run a grid in a process of its own, forked from one that has imported everything."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["spurion.grid.kind"])
    process = processes.Process(
        target=spurion.study,
        args=("digits",),
        kwargs={"out": folder, "overrides": SMALL, "over": OVER, "workers": 1},
    )
    process.start()
    return process


def contents(folder):
    """Every file by its bytes, but for the times of the clock and for states that were resumed from."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.name in {"seconds.json", ".lock"} or ".seals" in name:
            continue
        if name.startswith("cells/") and path.name in {"study.json", "point.json"}:
            found[name] = json.loads(path.read_text(), object_hook=_without_seconds)
        else:
            found[name] = path.read_bytes()
    return found


def _without_seconds(values):
    return {key: value for key, value in values.items() if key != "seconds"}


def wait_for(path, process):
    while not path.exists() and process.is_alive():
        time.sleep(0.005)


def test_killed_in_every_cell_the_bytes_are_those_of_an_undisturbed_grid(tmp_path):
    whole = begin(tmp_path / "whole")
    whole.join()
    assert whole.exitcode == 0
    ends = []
    for cell in sorted((tmp_path / "whole" / "cells").iterdir())[:4]:
        process = begin(tmp_path / "killed")
        wait_for(tmp_path / "killed" / "cells" / cell.name / "points" / "000002", process)
        time.sleep(0.05)
        process.kill()
        process.join()
        ends.append(process.exitcode)
    assert ends.count(-signal.SIGKILL) >= 3
    last = begin(tmp_path / "killed")
    last.join()
    assert last.exitcode == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    study = tmp_path / "killed" / "study.json"
    assert study.read_bytes() == (tmp_path / "whole" / "study.json").read_bytes()
