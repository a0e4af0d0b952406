import logging

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from spurion.core.tensors import (
    Damaged,
    check_tensors,
    load_arrays,
    load_tensors,
    save_arrays,
    save_tensors,
    tell,
)

TENSORS = {
    "a": torch.tensor([[1.5, -2.0], [3.0, 0.25]]),
    "b": torch.tensor(7),
    "empty": torch.zeros(0, 3),
    "é": torch.tensor([1.0, 2.0]).bfloat16(),
    "flags": torch.tensor([True, False]),
}
FACTS = {"zeta": 'quotes " and \\ and \n', "format": "pt"}


def test_tensors_and_facts_come_back_and_equal_ones_are_equal_bytes(tmp_path):
    path, written = tmp_path / "deep" / "x.safetensors", set()
    for facts in [FACTS, dict(reversed(FACTS.items()))] * 3:
        save_tensors(path, TENSORS, facts)
        written.add(path.read_bytes())
    assert len(written) == 1
    tensors, facts = load_tensors(path)
    check_tensors(path)
    assert facts == FACTS
    assert tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype
        assert torch.equal(tensors[name], value)
    with safe_open(path, "pt") as file:
        assert file.metadata().keys() == {*FACTS, "sha256"}


def test_every_flipped_byte_is_noticed_or_changes_nothing(tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors(path, TENSORS, FACTS)
    whole, unnoticed = path.read_bytes(), 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :])
        try:
            tensors, _ = load_tensors(path)
        except Damaged:
            with pytest.raises(Damaged, match=r"x\.safetensors is damaged \("):
                check_tensors(path)
        else:
            unnoticed += 1
            assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())
    assert unnoticed <= len('"sha256"')  # a checksum of another name is no checksum


@pytest.mark.parametrize("kept", [0, 7, 8, 100, -1])
def test_a_cut_file_is_damaged(tmp_path, kept):
    path = tmp_path / "x.safetensors"
    save_tensors(path, TENSORS, FACTS)
    path.write_bytes(path.read_bytes()[:kept])
    for read in (load_tensors, check_tensors):
        with pytest.raises(Damaged, match="is damaged"):
            read(path)


def test_files_without_a_checksum_are_read(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "x", metadata={"format": "pt"})
    check_tensors(tmp_path / "x")
    assert load_tensors(tmp_path / "x")[1] == {"format": "pt"}
    save_file({"a": torch.ones(2)}, tmp_path / "x")
    assert load_tensors(tmp_path / "x")[1] == {}
    for read in (load_tensors, check_tensors, load_arrays):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "none")


def test_arrays(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, a=np.arange(5), b=np.zeros(2))
    assert load_arrays(path).keys() == {"a", "b"}
    assert load_arrays(path, "a")["a"].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(Damaged, match=r"x\.npz is damaged \(there is no array `c`\)"):
        load_arrays(path, "c")
    whole, noticed = path.read_bytes(), 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            assert load_arrays(path, "a")["a"].tolist() == [0, 1, 2, 3, 4]
        except Damaged:
            noticed += 1
    assert noticed > 100
    np.save(tmp_path / "lone.npy", np.arange(3))
    with pytest.raises(Damaged, match="is damaged"):
        load_arrays(tmp_path / "lone.npy", "a")


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_are_what_numpy_writes(tmp_path, compressed):
    arrays = {"b": np.arange(50), "a": np.array("text")}
    save_arrays(tmp_path / "deep" / "x.npz", arrays, compressed=compressed)
    (np.savez_compressed if compressed else np.savez)(tmp_path / "y.npz", **arrays)
    assert (tmp_path / "deep" / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()
    assert load_arrays(tmp_path / "y.npz")["a"].item() == "text"
    with pytest.raises(Damaged, match="`a` must hold numbers, got <U4"):
        load_arrays(tmp_path / "y.npz", largest=2**20)
    size = 128 + 50 * 8  # of the header and of the numbers
    assert load_arrays(tmp_path / "y.npz", "b", largest=size).keys() == {"b"}
    with pytest.raises(Damaged, match="`b` is larger than 527 bytes"):
        load_arrays(tmp_path / "y.npz", "b", largest=size - 1)


def test_damage_is_a_warning_of_the_logger(caplog):
    tell(Damaged("a is gone."), "it is made again")
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("spurion", logging.WARNING)
    assert record.getMessage() == "a is gone; it is made again."
