"""Audits of sets larger than memory: the answer of small sets, found within a limit that the sets break."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from data.encoded import random_levels
from planted import planted
from spurion import audit
from spurion.data import storage
from spurion.neighbors import Features

PARTS = (
    "spurion.data.imageset._PART_ELEMENTS",
    "spurion.data.arrays._BLOCK_BYTES",
    "spurion.phases.copying.PART_ELEMENTS",
    "spurion.phases.metrics.fld.PART_ELEMENTS",
    "spurion.phases.metrics.fld.CENTER_ELEMENTS",
    "spurion.phases.metrics.mifid.PART_ELEMENTS",
    "spurion.neighbors.embedding.PART_BYTES",
)


def answer(sets, distance, out):
    found = audit(
        sets.train, sets.samples, sets.holdout, distance=distance, out=out, thresholds="fixed:0.5,0.5"
    )
    files = {name: (out / name).read_bytes() for name in ("samples.csv", "gallery.npz")}
    return found.model_copy(update={"environment": None}), files


@pytest.mark.parametrize("name", ["l2", "cosine", "features"])
def test_in_files_and_in_parts_the_answer_is_the_same(name, tmp_path, monkeypatch):
    distance = Features(lambda images: images.flatten(1)[:, ::2], "half") if name == "features" else name
    sets = planted(3, train=70, copies=60)
    sets.train[[5, 9]] = sets.train[
        2
    ].clone()  # all neighbors of some samples are duplicates, so others are searched
    expected, files = answer(sets, distance, tmp_path / "memory")
    assert expected.null.ct is not None
    monkeypatch.setattr(storage, "MOST_IN_MEMORY", 0)
    monkeypatch.setattr("spurion.phases.null.MOST_IN_MEMORY", 0)
    for part in PARTS:
        monkeypatch.setattr(part, 1)
    found, others = answer(sets, distance, tmp_path / "files")
    assert others == files
    assert [metric.name for metric in found.metrics] == [metric.name for metric in expected.metrics]
    for ours, theirs in zip(found.metrics, expected.metrics, strict=True):  # sums in another order
        assert ours.value == pytest.approx(theirs.value, rel=1e-6)
    assert found.model_copy(update={"metrics": ()}) == expected.model_copy(update={"metrics": ()})


LIMITED = """
import json, resource, sys
import torch
import spurion
from spurion.data import storage
from spurion.neighbors import nearest
from spurion.phases import copying
from spurion.phases.metrics import fld, mifid

def own():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData"))

torch.set_num_threads(1)
nearest.__kwdefaults__["memory_limit"] = 2**26
copying.FITTED_ELEMENTS = copying.PART_ELEMENTS = 2**20
fld.PART_ELEMENTS = fld.CENTER_ELEMENTS = mifid.PART_ELEMENTS = 2**18
small = torch.rand(70, 3, 8, 8, generator=torch.Generator().manual_seed(0))
spurion.audit(small, small[:65] / 2, small[:65] / 3)  # whatever is loaded, is loaded now
storage.MOST_IN_MEMORY = 2**22
limit, size = own() + int(float(sys.argv[4])), int(sys.argv[5])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    torch.ones(size // 4)
    sys.exit("the limit is none")
except RuntimeError:
    pass
found = spurion.audit(*sys.argv[1:4], out=sys.argv[6], thresholds="fixed:9,9")
print(json.dumps([found.inputs.train.sha256, found.counts, len(found.metrics)]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit counts private memory on Linux only")
def test_an_audit_of_more_than_memory_holds(tmp_path):
    # 12,000 images of 32 x 32 in color: 147 MB as floats, beside 130 MB for everything else.
    levels = random_levels(12_000, 8, 8, 3).repeat(4, axis=1).repeat(4, axis=2)
    samples, holdout = levels[:80].copy(), 255 - levels[-80:]
    samples[:20, ::2] ^= 1
    paths = [str(tmp_path / f"{name}.npz") for name in ("train", "samples", "holdout")]
    for path, images in zip(paths, (levels, samples, holdout), strict=True):
        np.savez(path, arr_0=images)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *paths, str(1.3e8), str(4 * levels.size), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)},
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pixels = levels.transpose(0, 3, 1, 2).astype("<f4") / np.float32(127.5) - np.float32(1)
    digest = hashlib.sha256(b"12000,3,32,32;" + pixels.tobytes()).hexdigest()
    assert json.loads(done.stdout) == [digest, [80, 0, 0], 6]
    assert os.listdir(temporary) == []
