"""Sets embedded once: in memory, in a file, from a cache."""

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
        self.factor, self.parts, self.stop_at = factor, [], None

    @property
    def seen(self):
        return sum(self.parts)

    def embed(self, images):
        self.parts.append(len(images))
        if self.stop_at is not None and self.seen > self.stop_at:
            raise Stop
        return (self.factor * images).flatten(1).repeat(1, 3)


class Cheap(Doubling):
    costly = False


def vectors(images):
    return (2 * images).flatten(1).repeat(1, 3)


class TestEmbedding:
    @pytest.fixture
    def images(self):
        return normal(500, 2, 3)

    @pytest.mark.parametrize("distance", [Doubling, Cheap])
    @pytest.mark.parametrize("limit", [0, 500 * 72 - 1, 500 * 72, 2**31])
    def test_in_memory_or_in_a_file(self, images, distance, limit):
        rows = embedded(Rows(images), distance(), memory_limit=limit)
        assert (type(rows) is Rows) == (limit >= 500 * 72)
        assert (len(rows), rows.dim, rows.shape) == (500, 18, (18,))
        assert torch.equal(rows.read(slice(None)), vectors(images))
        assert torch.equal(rows.images(slice(3, 9)), vectors(images[3:9]))
        assert torch.equal(rows.take(torch.tensor([4, 499])), vectors(images[[4, 499]]))
        assert torch.equal(rows.selected(torch.tensor([4, 2])).read(slice(None)), vectors(images[[4, 2]]))
        assert rows.digest() == Rows(vectors(images)).digest()
        other = embedded(Rows(images.flip(0)), distance(), memory_limit=limit)
        assert not rows.is_same_as(other)

    def test_two_sets_in_one_file_are_two(self, images):
        distance = Doubling().kept()
        first, second = (embedded(Rows(x), distance, memory_limit=0) for x in (images, images.flip(0)))
        assert not first.is_same_as(second)
        assert torch.equal(first.read(slice(None)), second.read(slice(None)).flip(0))

    def test_a_distance_that_keeps(self, images):
        plain = Doubling()
        distance = plain.kept()
        assert distance is not plain
        assert plain.keeper is None
        assert distance.kept() is distance
        for part in (images, images[100:], images.flip(0), torch.cat([images[:3], images[:3] + 1])):
            assert torch.equal(embedded(Rows(part), distance).read(slice(None)), vectors(part))
        assert distance.seen == 503
        embedded(Rows(images), plain)
        assert plain.seen == 1003  # both count in one list

    def test_what_costs_nothing_is_not_kept(self, tmp_path):
        cheap = Cheap()
        assert cheap.kept() is cheap
        assert cheap.kept(tmp_path) is cheap
        l2 = load_distance("l2")
        assert l2.kept(tmp_path) is l2
        cosine = load_distance("cosine")
        assert cosine.kept() is cosine

    def test_in_a_folder(self, images, tmp_path):
        first, second = Doubling(), Doubling()
        embedded(Rows(images), first.kept(tmp_path / "cache"))
        again = embedded(Rows(images.clone()), second.kept().kept(tmp_path / "cache"))
        assert torch.equal(again.read(slice(None)), vectors(images))
        assert (first.seen, second.seen) == (2 + 500, 2)
        embedded(Rows(images + 1), second.kept(tmp_path / "cache"))
        assert second.seen == 2 + 2 + 500

    def test_an_interrupted_one_goes_on(self, images, tmp_path, monkeypatch):
        monkeypatch.setattr(embedding_file, "PART_BYTES", 64 * 72)
        stopped, again, calls = Doubling(), Doubling(), []
        stopped.stop_at = 300
        with pytest.raises(Stop):
            embedded(Rows(images), stopped.kept(tmp_path))
        distance = again.kept(tmp_path)
        rows = embedded(Rows(images), distance, progress=lambda *call: calls.append(call))
        assert torch.equal(rows.read(slice(None)), vectors(images))
        assert again.seen == 2 + 500 - 256
        assert calls[3:] == [(256, 500), (320, 500), (384, 500), (448, 500), (500, 500)]

    @pytest.mark.parametrize("distance", [Doubling, Cheap])
    def test_steps_fit_images_and_vectors(self, distance, monkeypatch):
        monkeypatch.setattr(embedding_file, "PART_BYTES", 64 * 72 * 3)

        def steps(images, limit=2**31):
            used = distance()
            embedded(Rows(images), used, memory_limit=limit)
            return used.parts[distance is Cheap :]  # the first image tells a cheap one how wide vectors are

        first = [64] if distance is Doubling else []  # the first part tells how wide vectors are
        assert steps(normal(448, 2, 3)) == first + ([192, 192] if first else [192, 192, 64])
        monkeypatch.setattr(
            distance, "embed", lambda self, x: self.parts.append(len(x)) or x.flatten(1)[:, :1]
        )
        assert steps(normal(448, 18)) == first + ([192, 192] if first else [192, 192, 64])
        assert steps(normal(5, 18 * 192)) == [1] * 5
        assert steps(normal(5, 18 * 1000)) == [1] * 5
        assert steps(normal(40, 18 * 12)) == [16, 16, 8]
        # less memory gives smaller steps, but not ones that leave batches empty
        assert steps(normal(448, 18), 4 * 64 * 72)[:3] == (first or [128]) + [128, 128]
        assert steps(normal(130, 18), 1000) == [64, 64, 2]

    def test_pixels_are_their_own_vectors(self, images):
        rows = Rows(images)
        assert embedded(rows, load_distance("l2")) is rows

    def test_copies_are_at_zero_whatever_their_place(self, images):
        class Drifting(Doubling):
            """Rounds differently at other places of a batch, as some networks do."""

            def embed(self, images):
                return super().embed(images) * (1 + 1e-7 * torch.arange(len(images))[:, None])

        assert (nearest(images[40:60], images, 1, distance=Drifting()).distances == 0).all()

    def test_a_search(self, images, tmp_path):
        expected = nearest(images[:50], images, 3, distance=Doubling())
        assert same(nearest(2 * images[:50].repeat(1, 3, 1), 2 * images.repeat(1, 3, 1), 3), expected)
        for limit, fresh in ((2**16, 500), (2**31, 0)):
            counted = Doubling()
            found = nearest(images[:50], images, 3, distance=counted, cache=tmp_path, memory_limit=limit)
            assert same(found, expected)
            assert counted.seen == 2 + fresh
        counted = Doubling()
        assert same(
            nearest(images, images, 3, distance=counted), nearest(images, images, 3, distance=Doubling())
        )
        assert counted.seen == 500

    def test_nothing_to_embed(self, images):
        assert nearest(images[:0], images, 3, distance=Doubling()).indices.shape == (0, 3)
        assert within(images, images[:0], 3, distance=Doubling()).counts.sum() == 0
