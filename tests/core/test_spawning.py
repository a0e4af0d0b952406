"""Worker processes leave the main module of their caller alone, however it was started."""

import multiprocessing
import subprocess
import sys
import threading
from multiprocessing import spawn

import pytest

from spurion.core.spawning import may_start_workers, without_main

UNGUARDED = """
import os, sys
from concurrent.futures import ProcessPoolExecutor
from spurion.core.spawning import WorkerContext
pool = ProcessPoolExecutor(2, mp_context=WorkerContext())
print(sorted(pool.map(abs, [-2, 1])), __name__, flush=True)
pool.shutdown()
"""

PACKAGED = """
from concurrent.futures import ProcessPoolExecutor
from spurion.core.spawning import WorkerContext
from {module} import double
print(ProcessPoolExecutor(2, mp_context=WorkerContext()).submit(double, 4).result())
"""


def ways(tmp_path):
    (tmp_path / "script.py").write_text(UNGUARDED)
    (tmp_path / "zipped").mkdir()
    (tmp_path / "zipped" / "__main__.py").write_text(UNGUARDED)
    return {
        "a file": (["script.py"], None),
        "a module": (["-m", "script"], None),
        "a folder": (["zipped"], None),
        "an argument": (["-c", UNGUARDED], None),
        "standard input": (["-"], UNGUARDED),
        "typed": (["-i", "-q"], UNGUARDED),
    }


@pytest.mark.parametrize("way", ["a file", "a module", "a folder", "an argument", "standard input", "typed"])
def test_no_guard_is_needed(way, tmp_path):
    arguments, text = ways(tmp_path)[way]
    done = subprocess.run(
        [sys.executable, *arguments], input=text, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split("\n")[0] == "[1, 2] __main__"
    assert "Traceback" not in done.stderr


def test_what_lies_beside_the_script_is_found(tmp_path):
    (tmp_path / "beside.py").write_text("def double(x):\n    return 2 * x\n")
    script = tmp_path / "script.py"
    script.write_text(PACKAGED.format(module="beside"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("8\n", "")


def test_other_threads_are_not_touched(monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None, raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", __file__, raising=False)
    before, found = spawn.get_preparation_data, {}
    with without_main():
        mine = spawn.get_preparation_data("x")
        other = threading.Thread(target=lambda: found.update(spawn.get_preparation_data("x")))
        other.start()
        other.join()
    assert spawn.get_preparation_data is before
    assert set(found) == set(before("x"))
    assert set(found) - set(mine) == {"init_main_from_name", "init_main_from_path"} & set(found)
    assert len(set(found) - set(mine)) == 1


def in_a_pool(_):
    return may_start_workers()


def test_a_process_of_a_pool_starts_none():
    assert may_start_workers()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.map(in_a_pool, [0]) == [False]
