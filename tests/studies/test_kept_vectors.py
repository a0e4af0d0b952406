"""Every image of an audit or a study passes the network once."""

import numpy as np
import pytest
import torch

import spurion
from spurion.core.random import generator
from spurion.neighbors import Features, distances
from spurion.neighbors.lpips.embedding import Embedding
from spurion.phases.null import null_test
from spurion.studies import sweep


def images(count, *path):
    return 2 * torch.rand(count, 1, 6, 6, generator=generator(0, "kept", *path)) - 1


class Counting:
    """Makes vectors and knows of how many images it did."""

    def __init__(self):
        self.seen = 0

    def __call__(self, batch):
        self.seen += int((batch != 0).flatten(1).any(dim=1).sum())
        return batch.flatten(1)[:, ::2] + batch.flatten(1)[:, 1::2]


@pytest.fixture
def sets():
    train, holdout = images(60, "train"), images(30, "holdout")
    train[7] = train[3]
    return train, torch.cat([train[:10], images(50, "samples")]), holdout


def test_an_audit_embeds_every_image_once(sets):
    function = Counting()
    spurion.audit(*sets, distance=Features(function, "pairs"))
    assert function.seen == 59 + 50 + 30 + 60  # each different image, and the 60 noisy copies of the control


def test_the_next_audit_finds_them_in_the_cache(sets, tmp_path):
    first, second = Counting(), Counting()
    once, again, plain = (
        spurion.audit(*sets, distance=Features(function, "pairs"), cache=cache)
        for function, cache in ((first, tmp_path), (second, tmp_path), (Counting(), None))
    )
    assert (first.seen, second.seen) == (2 + 199, 2)  # two fixed images find the file
    assert once.to_json() | {"environment": 0} == again.to_json() | {"environment": 0}
    assert once.to_json() | {"environment": 0} == plain.to_json() | {"environment": 0}


def test_a_null_test_embeds_every_image_once(sets):
    function = Counting()
    null_test(sets[1], sets[0], sets[2], seed=0, distance=Features(function, "pairs"))
    assert function.seen == 59 + 50 + 30


def test_a_study_shares_vectors_and_drops_them_at_the_end(tmp_path, monkeypatch):
    embedded, folders = [], []
    forward, measured = Embedding.forward, sweep._measure_all

    def counted(self, batch):
        embedded.append(int((batch != 0).flatten(1).any(dim=1).sum()))
        return forward(self, batch)

    def looked_at(*arguments):
        failures = measured(*arguments)
        folders.append(sorted(path.suffix for path in (tmp_path / "run" / "vectors").iterdir()))
        return failures

    monkeypatch.setattr(Embedding, "forward", counted)
    monkeypatch.setattr(sweep, "_measure_all", looked_at)
    pixels = (images(50, "all")[:, 0] * 127.5 + 127.5).to(torch.uint8)
    np.savez(tmp_path / "images.npz", images=pixels.numpy())
    distances._load.cache_clear()
    sweep.study(
        "digits",
        out=tmp_path / "run",
        overrides=[
            "train_sizes=[10, 30]",
            "training.iterations=2",
            "sampler.steps=2",
            "sample_size=20",
            f"data.source={tmp_path / 'images.npz'}",
            "data.holdout=0.4",
            "distance=lpips-squeeze",
            "weights=random:0",
            "geometry=null",
            "flow.steps=3",
            "thresholds=fixed:1,1",
        ],
        workers=1,
    )
    assert folders == [[".lock", ".sha256", ".sums", ".vectors"]]
    assert not (tmp_path / "run" / "vectors").exists()
    # the smaller point's training images are among the other's, and both have the same held-out images; each
    # has 20 samples, noisy copies of its training images, eight transforms of these, the places where samples
    # and training images flow, these once more, and three stages that each embed two fixed images
    flow = 2 * 20 + 2 * (10 + 30)
    assert sum(embedded) == 30 + 20 + 2 * 20 + 9 * (10 + 30) + flow + 3 * 2 * 2
