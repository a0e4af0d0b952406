import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from spurion.core.engine import available_cores, kept_workers, run_tasks


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


def test_kept_workers_serve_every_stage_tell_all_of_it_and_leave():
    pids = []
    with kept_workers():
        for task in range(6):
            reports = []
            results = run_tasks(square, [task, task], workers=2, threads=1, report=collect(reports))
            pids += [value[1] for _, value in results]
            assert reports == [(f"task {task}", "work", 1, 1)] * 2
    assert len(set(pids)) <= 2
    for pid in set(pids):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


class FakePool:
    """Runs tasks here and keeps a record of its life."""

    def __init__(self, workers, threads):
        self.workers, self.threads, self.record = workers, threads, []
        self.made.append(self)

    def run(self, function, tasks, report):
        for index, task in enumerate(tasks):
            self.record.append(task)
            yield index, function(task, report)

    def close(self):
        self.record.append("closed")

    def stop(self):
        self.record.append("stopped")


def test_a_stage_that_nobody_goes_on_with_ends_with_the_rest(pools):
    with kept_workers():
        abandoned = stage([1, 2])
        next(abandoned)
    assert [pool.record for pool in pools] == [[1, "stopped"]]
    abandoned.close()


@pytest.fixture
def pools(monkeypatch):
    monkeypatch.setattr("spurion.core.engine.Pool", FakePool)
    monkeypatch.setattr(FakePool, "made", made := [], raising=False)
    return made


def stage(tasks, function=square, workers=2, threads=1):
    return run_tasks(function, tasks, workers=workers, threads=threads, report=collect([]))


def test_who_keeps_no_workers_gets_new_ones_at_every_stage(pools):
    list(stage([1, 2]))
    list(stage([3, 4]))
    assert [pool.record for pool in pools] == [[1, 2, "closed"], [3, 4, "closed"]]


def test_the_outermost_keeps_them(pools):
    with kept_workers():
        list(stage([1, 2]))
        with kept_workers():
            list(stage([3, 4]))
            list(stage([5]))  # one task needs no worker
        list(stage([6, 7]))
    list(stage([8, 9]))
    assert [pool.record for pool in pools] == [[1, 2, 3, 4, 6, 7, "closed"], [8, 9, "closed"]]


def test_another_crew_is_another_pool(pools):
    with kept_workers():
        list(stage([1, 2]))
        list(stage([3, 4], workers=3))
        list(stage([5, 6], workers=3, threads=2))
    assert [pool.record for pool in pools] == [[1, 2, "closed"], [3, 4, "closed"], [5, 6, "closed"]]
    assert [(pool.workers, pool.threads) for pool in pools] == [(2, 1), (3, 1), (3, 2)]


def test_what_did_not_end_well_is_not_kept(pools):
    with kept_workers():
        with pytest.raises(ValueError, match="is bad"):
            list(stage([1, 2], fail))
        abandoned = stage([3, 4])
        next(abandoned)
        list(stage([5, 6]))  # while another stage runs
        abandoned.close()
        list(stage([7, 8]))
    assert [pool.record for pool in pools] == [[1, "stopped"], [3, "stopped"], [5, 6, 7, 8, "closed"]]


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


def warn(task, report):
    logging.getLogger("spurion").warning("task %s is told", task)
    return task


def test_what_workers_tell_is_told_here(caplog):
    list(run_tasks(warn, [1, 2], workers=2, threads=1, report=collect([])))
    assert sorted(record.getMessage() for record in caplog.records) == ["task 1 is told", "task 2 is told"]


def of_group(group):
    """The numbers and command lines of the living processes of a group."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, of = (place / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(of) == group and state != "Z":
                found[int(place.name)] = (place / "cmdline").read_text()
    return found


STUDY = (
    "train_sizes=[2, 8]",
    "training.iterations=100000",
    "training.checkpoint_every=5",
    "denoiser.width=8",
)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are read from /proc")
@pytest.mark.parametrize(
    ("ending", "moment", "code"),
    [
        (signal.SIGKILL, "workers import", -signal.SIGKILL),
        (signal.SIGTERM, "workers train", 143),
        (signal.SIGINT, "workers import", 130),
    ],
)
def test_nobody_writes_after_the_parent_is_gone(tmp_path, ending, moment, code):
    options = [word for field in STUDY for word in ("--set", field)]
    command = [sys.executable, "-m", "spurion", "study", "digits", "--out", str(tmp_path), "--workers", "2"]
    parent = subprocess.Popen(
        [*command, *options],
        start_new_session=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (
            moment == "workers import"
            and sum("spawn_main" in line for line in of_group(parent.pid).values()) == 2
        ):
            break
        if moment == "workers train" and len(list(tmp_path.glob("points/*/state/state.safetensors"))) == 2:
            break
        time.sleep(0.02)
    os.killpg(parent.pid, ending) if ending == signal.SIGINT else parent.send_signal(ending)
    words = parent.communicate()[1]
    assert parent.returncode == code
    gone = (
        time.monotonic() + 10
    )  # a worker looks for its parent in its first half second; this machine is slow
    while of_group(parent.pid) and time.monotonic() < gone:
        time.sleep(0.02)
    assert not of_group(parent.pid)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    time.sleep(0.5)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    if code > 0:
        assert words.splitlines()[-1] == (
            "spurion study: Interrupted; what was finished is kept, and the same command continues."
        )
        assert "Traceback" not in words
