"""Sets embedded once: in memory, in a file, from a cache."""

import numpy as np
import pytest
import torch

from spurion.core.random import generator
from spurion.neighbors import Distance, load_distance, nearest, within
from spurion.neighbors import embedding as embedding_file
from spurion.neighbors.embedding import embedded
from spurion.neighbors.rows import Rows


def normal(*shape):
    return torch.randn(*shape, generator=generator(0, "embedding"))


def same(found, expected):
    return torch.equal(found.distances, expected.distances) and torch.equal(found.indices, expected.indices)


class Stop(Exception):
    pass


class Doubling(Distance):
    """A distance that embeds by a loop, counts its images and may be made to fail."""

    name = "doubling"
    unit = "none"

    def __init__(self, factor=2.0):
        self.factor, self.seen, self.stop_at = factor, 0, None

    def embed(self, images):
        self.seen += len(images)
        if self.stop_at is not None and self.seen > self.stop_at:
            raise Stop
        return (self.factor * images).flatten(1).repeat(1, 3)


class TestEmbedding:
    @pytest.fixture
    def images(self):
        return normal(500, 2, 3)

    @pytest.fixture(autouse=True)
    def small_parts(self, monkeypatch):
        monkeypatch.setattr(embedding_file, "PART_BYTES", 64 * 18 * 4)

    def test_in_memory(self, images):
        rows = embedded(Rows(images), Doubling())
        assert torch.equal(rows.read(slice(None)), (2 * images).flatten(1).repeat(1, 3))

    def test_in_a_file_that_vanishes(self, images, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        rows = embedded(Rows(images), Doubling(), memory_limit=1000)
        assert torch.equal(rows.read(slice(None)), (2 * images).flatten(1).repeat(1, 3))
        assert torch.equal(rows.take(torch.tensor([4, 499])), rows.read(slice(None))[[4, 499]])
        assert len(list(tmp_path.iterdir())) == 1
        del rows
        assert not list(tmp_path.iterdir())

    def test_once(self, images, tmp_path):
        first, second = Doubling(), Doubling()
        rows = embedded(Rows(images), first, cache=tmp_path / "cache")
        again = embedded(Rows(images.clone()), second, cache=tmp_path / "cache")
        assert torch.equal(rows.read(slice(None)), again.read(slice(None)))
        assert (first.seen, second.seen) == (502, 2)
        embedded(Rows(images + 1), second, cache=tmp_path / "cache")
        assert second.seen == 2 + 502

    def test_an_interrupted_one_goes_on(self, images, tmp_path):
        stopped, again = Doubling(), Doubling()
        stopped.stop_at = 300
        with pytest.raises(Stop):
            embedded(Rows(images), stopped, cache=tmp_path)
        calls = []
        rows = embedded(Rows(images), again, cache=tmp_path, progress=lambda *call: calls.append(call))
        assert torch.equal(rows.read(slice(None)), (2 * images).flatten(1).repeat(1, 3))
        assert again.seen == 2 + 500 - 256
        assert calls == [(320, 500), (384, 500), (448, 500), (500, 500)]
        assert {path.suffix for path in tmp_path.iterdir()} == {".npy", ".lock"}
        assert len(list(tmp_path.iterdir())) == 2

    @pytest.mark.parametrize("damage", ["other numbers", "cut off", "no array", "other shape", "other type"])
    def test_a_file_that_does_not_fit_is_made_anew(self, images, tmp_path, damage):
        embedded(Rows(images), Doubling(), cache=tmp_path)
        (path,) = tmp_path.glob("*.npy")
        values = np.load(path)
        if damage == "cut off":
            path.write_bytes(path.read_bytes()[:1000])
        elif damage == "no array":
            path.write_bytes(b"nothing")
        else:
            wrong = {"other shape": values[:-1], "other type": values.astype(np.float64)}
            np.save(path, wrong.get(damage, values * (1 + 2**-20)))
        again = Doubling()
        rows = embedded(Rows(images), again, cache=tmp_path)
        assert again.seen == 502
        assert torch.equal(rows.read(slice(None)), (2 * images).flatten(1).repeat(1, 3))

    def test_other_weights(self, images, tmp_path):
        embedded(Rows(images), Doubling(), cache=tmp_path)
        rows = embedded(Rows(images), Doubling(2.0000002384185791), cache=tmp_path)
        assert torch.equal(rows.read(slice(None)), (2.0000002384185791 * images).flatten(1).repeat(1, 3))

    def test_pixels_are_their_own_vectors(self, images):
        rows = Rows(images)
        assert embedded(rows, load_distance("l2")) is rows

    def test_a_search(self, images, tmp_path):
        expected = nearest(images[:50], images, 3, distance=Doubling())
        assert same(nearest(2 * images[:50].repeat(1, 3, 1), 2 * images.repeat(1, 3, 1), 3), expected)
        for limit in (2**16, 2**31):
            counted = Doubling()
            found = nearest(images[:50], images, 3, distance=counted, cache=tmp_path, memory_limit=limit)
            assert same(found, expected)
        assert counted.seen == 4
        counted = Doubling()
        assert same(
            nearest(images, images, 3, distance=counted), nearest(images, images, 3, distance=Doubling())
        )
        assert counted.seen == 502

    def test_nothing_to_embed(self, images):
        assert nearest(images[:0], images, 3, distance=Doubling()).indices.shape == (0, 3)
        assert within(images, images[:0], 3, distance=Doubling()).counts.sum() == 0
