"""The run for accelerators, whole and small, on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
SECTIONS = ("machine", "checks", "training", "search", "study", "sampling", "energies", "compiled")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_section_runs_and_is_told(tmp_path):
    command = [
        sys.executable,
        str(SCRIPT),
        "--device",
        "cpu",
        "--quick",
        "--budget",
        "5",
        "--out",
        str(tmp_path),
    ]
    single = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=single)
    assert done.returncode == 0, done.stdout + done.stderr
    result, page = json.loads((tmp_path / "gpu.json").read_text()), (tmp_path / "gpu.md").read_text()
    assert {"command", "device", "card", "cuda", "python", "versions", "seed", "quick"} < set(result)
    assert tuple(result["sections"]) == SECTIONS
    for section in result["sections"].values():
        assert set(section) == {"title", "status", "seconds", "budget", "error", "rows"}
        assert section["rows"]
        assert f"## {section['title']}\n\ndone" in page
    assert all(row["ok"] for row in result["sections"]["checks"]["rows"])


def test_a_section_that_fails_or_takes_too_long_keeps_what_it_found(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    gpu = pytest.importorskip("gpu")
    bench = gpu.Bench("cpu", True, 0, tmp_path)

    def endless(bench, rows):
        rows.append({"step": 1, "ok": True})
        while True:
            pass

    def broken(bench, rows):
        rows.append({"step": 1})
        raise RuntimeError("no such kernel")

    found = [gpu.run("A title", function, 0.2, bench) for function in (endless, broken)]
    assert [section["status"] for section in found] == ["failed", "failed"]
    assert [len(section["rows"]) for section in found] == [1, 1]
    assert "more than its 0.2 seconds" in found[0]["error"]
    assert "RuntimeError: no such kernel" in found[1]["error"]
