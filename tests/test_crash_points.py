"""Every verb that writes, killed at evenly chosen events and held to a size of files, loses nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PLANS = {"study": (4, [20000]), "train": (3, [3000]), "sample": (3, [3000]), "audit": (3, [3000])}
"""For each job the number of kills, and the largest sizes in bytes that a file may have."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_or_limited_and_started_again_the_files_are_the_same(tmp_path):
    plans = json.dumps({**PLANS, "neighbors": (3, [200])})
    script = Path(__file__).with_name("crash_points.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), plans], capture_output=True, text=True, check=True
    )
    faults = json.loads(done.stdout)
    assert faults == {job: [] for job in (*PLANS, "neighbors")}
