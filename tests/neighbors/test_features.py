import numpy as np
import pytest
import torch

from spurion.core.random import generator
from spurion.neighbors import Features, load_distance, nearest, save_features
from spurion.neighbors.distances.embedder import Embedder


def images(count, *path):
    return 2 * torch.rand(count, 1, 4, 5, generator=generator(0, "features", *path)) - 1


def vectors(count, dtype=torch.float32):
    return torch.randn(count, 6, generator=generator(0, "vectors"), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_file_gives_every_image_its_vector_in_any_order(tmp_path, dtype):
    x, v = images(12), vectors(12, dtype)
    save_features(tmp_path / "dino.npz", x, v)
    distance = load_distance("features", str(tmp_path / "dino.npz"))
    order = torch.randperm(12, generator=generator(0, "order"))
    assert torch.equal(distance.embed(x[order]), v[order])
    assert torch.equal(distance.embed(x.double()), v)
    found = nearest(x[order[:3]], x[order], k=2, distance=distance)
    assert found.indices[:, 0].tolist() == [0, 1, 2]
    expected = torch.cdist(v.double(), v.double(), compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(distance.pairwise(x, x), expected.fill_diagonal_(0), rtol=1e-12, atol=0)
    assert not distance.embeds_any_image
    assert distance.info.weights.startswith("dino.npz (sha256 ")


def test_a_function_embeds_any_image():
    distance = Features(lambda batch: batch.flatten(1)[:, :3], "three pixels")
    x, y = images(5, "x"), images(70, "y")
    expected = (x.flatten(1)[:, None, :3].double() - y.flatten(1)[None, :, :3].double()).norm(dim=-1)
    torch.testing.assert_close(distance.pairwise(x, y), expected, rtol=1e-12, atol=0)
    assert distance.embeds_any_image
    assert distance.info.model_dump() == {
        "name": "features",
        "unit": "Euclidean, as the vectors",
        "weights": "three pixels",
    }


def test_images_without_a_vector_are_counted(tmp_path):
    save_features(tmp_path / "v.npz", images(4), vectors(4))
    distance = load_distance("features", str(tmp_path / "v.npz"))
    with pytest.raises(
        ValueError, match=r"v\.npz has no vector for 2 of 5 images, the first of them image 3"
    ):
        distance.embed(torch.cat([images(3), images(2, "new")]))


def test_bad_files(tmp_path):
    with pytest.raises(ValueError, match="needs a file of vectors, named by `--weights`"):
        load_distance("features")
    with pytest.raises(ValueError, match=r"There is no file .*none\.npz"):
        load_distance("features", str(tmp_path / "none.npz"))
    path = tmp_path / "bad.npz"
    for content in (b"", b"nonsense", b"PK\x03\x04 cut"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.npz is not a file of vectors"):
            load_distance("features", str(path))
    np.savez(path, vectors=np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"bad\.npz is not a file of vectors"):
        load_distance("features", str(path))
    np.savez(path, sha256=np.array(["a", "b"]), vectors=np.zeros((3, 3), np.float32))
    with pytest.raises(ValueError, match=r"a float32 or float64 vector for each of 2 images, got float32 of"):
        load_distance("features", str(path))
    np.savez(path, sha256=np.array(["a", "b"]), vectors=np.zeros((2, 0), np.float32))
    with pytest.raises(ValueError, match=r"a float32 or float64 vector for each of 2 images, got .*\(2, 0\)"):
        load_distance("features", str(path))
    np.savez(path, sha256=np.array(["a", "b"]), vectors=np.zeros((2, 3), np.int64))
    with pytest.raises(ValueError, match="got int64 of shape"):
        load_distance("features", str(path))


def test_bad_vectors(tmp_path):
    with pytest.raises(ValueError, match=r"`vectors` must hold .* 4 images, got float32 of shape \(3, 6\)"):
        save_features(tmp_path / "v.npz", images(4), vectors(3))
    with pytest.raises(ValueError, match="`vectors` holds a value that is not finite"):
        save_features(tmp_path / "v.npz", images(4), vectors(4) * torch.nan)
    twice = images(4)
    twice[2] = twice[0]
    with pytest.raises(ValueError, match="images 0 and 2 are equal, but their vectors differ"):
        save_features(tmp_path / "v.npz", twice, vectors(4))
    assert not (tmp_path / "v.npz").exists()


@pytest.mark.parametrize(
    "made",
    [torch.zeros(64), torch.zeros(3, 2), torch.zeros(64, 2, dtype=torch.int64), torch.zeros(64, 0)],
)
def test_functions_that_return_something_else(made):
    with pytest.raises(ValueError, match="an embedding must return one row of floats for each of 64 images"):
        Features(lambda batch: made, "wrong").embed(images(3))


@pytest.mark.parametrize("made", [[[0.0, 1.0]] * 64, np.zeros((64, 2), np.float32), None])
def test_functions_that_return_no_tensor(made):
    kind = type(made).__name__
    with pytest.raises(ValueError, match=f"an embedding must return a tensor, got {kind}"):
        nearest(images(3), images(4), distance=Features(lambda batch: made, "wrong"))


def test_functions_whose_vectors_differ_in_length():
    widths = iter([3, 3, 4])
    distance = Features(lambda batch: torch.zeros(64, next(widths)), "wrong")
    with pytest.raises(ValueError, match="must return rows of one length, got 3 numbers and then 4"):
        nearest(images(3, "x"), images(100), distance=distance)


def test_functions_may_know_several_shapes():
    distance = Features(lambda batch: batch.flatten(1), "pixels")
    assert distance.embed(images(3)).shape == (3, 20)
    assert distance.embed(images(3)[..., 1:]).shape == (3, 16)
    assert distance.embed(images(3).repeat(1, 2, 1, 1)).shape == (3, 40)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_vectors_that_are_not_finite_are_the_distance_s(value, tmp_path):
    def function(batch):
        made = batch.flatten(1).clone()
        made[2, 3] = value
        return made

    message = "`features` makes vectors that are not finite of images that are; check its weights"
    x = images(5)
    for cache in (None, tmp_path):
        with pytest.raises(ValueError, match=message):
            nearest(x, x + 1, distance=Features(function, "wrong"), cache=cache)
    x[2] = torch.nan
    with pytest.raises(ValueError, match="`queries` must hold finite numbers"):
        nearest(x, images(2), distance=Features(lambda batch: batch.flatten(1), "pixels"))
    assert not [path for path in tmp_path.glob("*.sha256") if path.stat().st_size > 64]


class TestEmbedder:
    """Batches of one size."""

    @pytest.fixture
    def calls(self):
        return []

    def embedder(self, calls, **named):
        def function(batch):
            calls.append(batch.clone())
            return batch.flatten(1)

        return Embedder(function, **named)

    def test_batches_have_one_size(self, calls):
        x = images(70)
        assert torch.equal(self.embedder(calls)(x), x.flatten(1))
        assert [len(call) for call in calls] == [64, 64]
        assert calls[1][6:].eq(0).all()

    def test_large_images_come_in_small_batches(self, calls):
        x = torch.rand(3, 1, 300, 300, generator=generator(0, "large"))
        assert torch.equal(self.embedder(calls)(x), x.flatten(1))
        assert [len(call) for call in calls] == [1, 1, 1]

    def test_types_and_shapes(self, calls):
        embedder = self.embedder(calls)
        x = torch.ones(2, 1, 2, 3)
        assert embedder(x.double()).dtype == torch.float64
        assert embedder(x).dtype == torch.float32
        assert embedder(x.reshape(2, 1, 3, 2)).shape == (2, 6)

    def test_no_images_have_no_vectors_of_the_right_length(self, calls):
        assert self.embedder(calls)(images(0)).shape == (0, 20)

    def test_no_gradient_flows(self, calls):
        assert not self.embedder(calls)(images(2).requires_grad_()).requires_grad
