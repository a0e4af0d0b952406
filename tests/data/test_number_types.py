"""Numbers of every type, at every door: converted where their meaning is clear, else one sentence."""

import numpy as np
import pytest
import torch

import spurion
from spurion.data import open_images
from spurion.data.numbers import array_type, as_array, plain_tensor
from spurion.neighbors import nearest

HALVES = torch.tensor([[0.0, 0.5, -1.0, 1.0], [1.0, 0.25, -0.5, 0.0]]).reshape(2, 1, 2, 2)

KINDS = {
    "float16": HALVES.half(),
    "bfloat16": HALVES.bfloat16(),
    "float64": HALVES.double(),
    "float8_e4m3fn": HALVES.to(torch.float8_e4m3fn),
    "float8_e5m2": HALVES.to(torch.float8_e5m2),
    "sparse": HALVES.to_sparse(),
    "sparse of bfloat16": HALVES.bfloat16().to_sparse(),
    "hybrid": HALVES.to_sparse(2),
    "quantized": torch.quantize_per_tensor(HALVES, 0.25, 0, torch.qint8),
    "with a gradient": HALVES.clone().requires_grad_(),
    "parameter": torch.nn.Parameter(HALVES),
    "not contiguous": HALVES.transpose(0, 3).contiguous().transpose(0, 3),
    "expanded": HALVES.expand(2, 1, 2, 2),
    "negated lazily": torch._neg_view(-HALVES),
}

ARRAYS = {
    name: HALVES.numpy().astype(name)
    for name in ("float16", "float32", "float64", "longdouble", ">f2", ">f4", ">f8")
}

UNREADABLE = {
    "nested": torch.nested.nested_tensor([torch.zeros(1, 2, 2), torch.zeros(1, 2, 3)]),
    "jagged": torch.nested.nested_tensor([torch.zeros(1, 2), torch.zeros(2, 2)], layout=torch.jagged),
    "meta": torch.zeros(2, 1, 2, 2, device="meta"),
    "complex half": torch.zeros(2, 1, 2, 2, dtype=torch.complex32),
    "bits": torch.empty(2, 1, 2, 2, dtype=torch.bits8),
    "packed": torch.empty(2, 1, 2, 2, dtype=torch.float4_e2m1fn_x2),
    "endless": torch.sparse_coo_tensor(torch.zeros(4, 0), torch.zeros(0), (2**40, 1, 2**10, 2**10)),
}

pytestmark = pytest.mark.filterwarnings("ignore:.*prototype", "ignore:.*beta state", "ignore:.*deprecated")


@pytest.mark.parametrize("values", [*KINDS.values(), *ARRAYS.values()], ids=[*KINDS, *ARRAYS])
def test_floats_of_every_type_are_the_same_images(values):
    assert torch.equal(open_images(values, value_range=(-1, 1)).images, HALVES)
    sets = (torch.cat([HALVES, HALVES / 2]), values, HALVES / 4)
    assert spurion.audit(*sets, thresholds="fixed:0.1,0.1").counts == (2, 0, 0)
    if isinstance(values, torch.Tensor):
        metric = spurion.PhaseMetric(thresholds="fixed:0.1,0.1")
        metric.update(values, real=True)
        metric.update(HALVES, real=False)
        assert metric.compute()["memorized"] == 1.0
    found = nearest(values, HALVES.double().numpy())
    assert found.distances.max() == 0
    assert found.indices[:, 0].tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64, torch.uint32])
def test_integers_need_a_range(dtype):
    values = torch.tensor([[0, 100], [50, 75]], dtype=dtype).reshape(2, 1, 1, 2)
    assert open_images(values, value_range=(0, 100)).images.flatten().tolist() == [-1, 1, 0, 0.5]
    assert array_type(values) == as_array(values, "x").dtype
    for door in (open_images, lambda x: spurion.audit(x, x), lambda x: spurion.PhaseMetric().update(x, True)):
        with pytest.raises(ValueError, match=r"an array of u?int\d+; say .* `value_range`, such as 0,255"):
            door(values)
    metric = spurion.PhaseMetric(value_range=(0, 100), thresholds="fixed:0.1,0.1")
    metric.update(values, real=True)
    metric.update(values, real=False)
    assert metric.compute()["memorized"] == 1.0
    with pytest.raises(ValueError, match=r"must hold floats or bytes, got torch.u?int\d+; convert it"):
        nearest(values, HALVES)


@pytest.mark.parametrize("form", ["tensor", "array", "file"])
def test_bool_is_black_and_white(form, tmp_path):
    mask = np.array([[[True, False], [False, False]], [[True, True], [False, True]]])[:, None]
    x = np.where(mask, np.float32(1), np.float32(-1))
    np.savez(tmp_path / "mask.npz", samples=mask)
    source = {"tensor": torch.from_numpy(mask), "array": mask, "file": tmp_path / "mask.npz"}[form]
    assert np.array_equal(open_images(source).images.numpy(), x)
    assert spurion.audit(source, x, thresholds="fixed:0.1,0.1").counts == (2, 0, 0)
    if form != "file":
        assert nearest(source, x).distances.tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f2", ">u2", "|u1", "|b1", ">i8", "g"])
@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_files_of_every_byte_order(dtype, suffix, tmp_path):
    values = np.array([[0, 1], [1, 0]]).reshape(2, 1, 1, 2).astype(dtype)
    path = tmp_path / f"a.{suffix}"
    np.save(path, values) if suffix == "npy" else np.savez(path, samples=values)
    assert open_images(path, value_range=(0, 1)).images.flatten().tolist() == [-1, 1, 1, -1]


@pytest.mark.parametrize("values", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_one_sentence(values):
    doors = (
        lambda x: open_images(x, value_range=(0, 1)),
        lambda x: spurion.audit(x, HALVES),
        lambda x: spurion.PhaseMetric().update(x, real=True),
        lambda x: nearest(x, HALVES),
        lambda x: nearest(HALVES, x),
    )
    for door in doors:
        with pytest.raises(ValueError, match=r"tensor|complex32|bits8"):
            door(values)


def test_the_sentence_names_the_type():
    with pytest.raises(ValueError, match="x is a nested tensor, which cannot be read as numbers; convert it"):
        plain_tensor(UNREADABLE["nested"], "x")
    with pytest.raises(ValueError, match=r"x is a tensor of torch.complex32 on cpu, which cannot be read"):
        as_array(UNREADABLE["complex half"], "x")
    with pytest.raises(ValueError, match="x has masked values, which are no numbers; fill them first"):
        as_array(np.ma.masked_equal(np.zeros(3), 0), "x")


@pytest.mark.parametrize("values", [HALVES.to(torch.complex64), HALVES.numpy().astype(object)])
def test_what_is_no_real_number_is_one_sentence(values):
    for door in (open_images, lambda x: spurion.audit(x, HALVES)):
        with pytest.raises(ValueError, match="must be an array of real numbers, got the type"):
            door(values)
    with pytest.raises(ValueError, match="must hold floats or bytes"):
        nearest(values, HALVES)
