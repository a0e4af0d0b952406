import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from spurion.core.engine import available_cores, run_tasks


def square(task, report):
    report(f"task {task}", "work", 1, 1)
    return task**2, os.getpid(), torch.get_num_threads()


def fail(task, report):
    raise ValueError(f"task {task} is bad")


def die(task, report):
    os.kill(os.getpid(), signal.SIGKILL)


def collect(reports):
    return lambda *words: reports.append(words)


def test_one_worker_runs_here_in_order_and_leaves_torch_alone():
    reports, threads = [], torch.get_num_threads()
    results = list(run_tasks(square, [3, 1, 2], workers=1, threads=1, report=collect(reports)))
    assert [(index, value[0]) for index, value in results] == [(0, 9), (1, 1), (2, 4)]
    assert {value[1] for _, value in results} == {os.getpid()}
    assert reports == [("task 3", "work", 1, 1), ("task 1", "work", 1, 1), ("task 2", "work", 1, 1)]
    assert torch.get_num_threads() == threads


def test_several_workers_give_every_result_once():
    reports = []
    results = dict(run_tasks(square, [3, 1, 2], workers=2, threads=1, report=collect(reports)))
    assert {index: value[0] for index, value in results.items()} == {0: 9, 1: 1, 2: 4}
    assert os.getpid() not in {value[1] for value in results.values()}
    assert {value[2] for value in results.values()} == {1}


def test_where_no_process_may_be_started_everything_runs_here(monkeypatch):
    monkeypatch.setattr("spurion.core.engine.may_start_workers", lambda: False)
    results = list(run_tasks(square, [3, 1], workers=2, threads=1, report=collect([])))
    assert [(index, value[1]) for index, value in results] == [(0, os.getpid()), (1, os.getpid())]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_task_reaches_the_caller(workers):
    with pytest.raises(ValueError, match="is bad"):
        list(run_tasks(fail, [1, 2], workers=workers, threads=1, report=collect([])))


def test_a_dead_worker_is_one_sentence():
    with pytest.raises(RuntimeError, match="run the same command again"):
        list(run_tasks(die, [1, 2], workers=2, threads=1, report=collect([])))


BEATING = """
import sys, time, pathlib
def work(task, report):
    for i in range(600):
        pathlib.Path(sys.argv[1], str(task)).write_text(str(time.time()))
        time.sleep(0.05)
"""

ORPHAN = """
from beating import work
from spurion.core.engine import run_tasks
list(run_tasks(work, [1, 2], workers=2, threads=1, report=lambda *a: None))
"""


def test_workers_end_when_their_parent_is_killed(tmp_path):
    (tmp_path / "beating.py").write_text(BEATING)
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    beats = tmp_path / "beats"
    beats.mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(beats)])
    deadline = time.time() + 60
    while len(list(beats.iterdir())) < 2 and time.time() < deadline:
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    time.sleep(2)
    last = {path.name: Path(path).read_text() for path in beats.iterdir()}
    time.sleep(1)
    assert len(last) == 2
    assert {path.name: Path(path).read_text() for path in beats.iterdir()} == last


def test_available_cores_is_positive():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
