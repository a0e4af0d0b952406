import hashlib
import json
import logging
import os

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from spurion.core.sealed import Damaged, Seal, check_tensors, load_arrays, load_tensors, save_tensors, tell

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
    with pytest.raises(Damaged, match=r"x\.npz is damaged \(c is not a file in the archive\)"):
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


@pytest.fixture
def sealed(tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("model/a", "model/b", "log"):
        (tmp_path / name).write_text(name)
    seal = Seal(tmp_path, "train")
    assert seal.key is None
    assert not seal.is_whole("never told")
    seal.put(tmp_path / "model", tmp_path / "log", key="k")
    return tmp_path, seal


def told(caplog):
    return [record.getMessage() for record in caplog.records]


def test_a_seal_holds_checksums_that_anyone_can_make(sealed, caplog):
    folder, seal = sealed
    content = json.loads((folder / ".seals" / "train.json").read_text())
    assert content["files"] == {
        name: hashlib.sha256(name.encode()).hexdigest() for name in ("model/a", "model/b", "log")
    }
    assert seal.key == "k"
    assert seal.is_whole("never told")
    assert not seal.damage()
    seal.check("never told")
    assert not told(caplog)


def test_damage_is_named_and_told_once(sealed, caplog):
    folder, seal = sealed
    (folder / "model" / "a").write_text("other")
    (folder / "log").unlink()
    assert {path: str(error) for path, error in seal.damage().items()} == {
        folder / "model" / "a": f"{folder}/model/a is damaged (its checksum differs).",
        folder / "log": f"{folder}/log is gone.",
    }
    assert list(seal.damage(folder / "log", folder / "model" / "b")) == [folder / "log"]
    assert not seal.is_whole("it is made again")
    assert told(caplog) == [f"{folder}/model/a is damaged (its checksum differs); it is made again."]
    seal.check("look elsewhere", folder / "model" / "b")
    with pytest.raises(Damaged, match=r"log is gone; look elsewhere\.$"):
        seal.check("look elsewhere", folder / "log")


def test_a_seal_that_is_gone_stands_for_nothing(sealed, caplog):
    folder, seal = sealed
    seal.remove()
    seal.remove()
    (folder / "log").unlink()
    assert not seal.damage()
    assert seal.key is None
    assert seal.fingerprint() == ""
    assert not told(caplog)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 9999, None])
def test_a_damaged_seal_is_told_and_taken_away(sealed, content, caplog):
    folder, seal = sealed
    file = folder / ".seals" / "train.json"
    file.write_bytes(file.read_bytes().replace(b'"k"', b'"j"') if content is None else content)
    assert not seal.is_whole("never told")
    assert not file.exists()
    assert told(caplog) == [f"{file} is damaged; the files that it stood for are taken as they are."]


def test_keys_fit_where_both_are_known(sealed):
    folder, seal = sealed
    assert [seal.fits(key) for key in ("k", "other", "")] == [True, False, True]
    seal.put(folder / "log")
    assert [seal.fits(key) for key in ("k", "")] == [True, True]
    seal.remove()
    assert not seal.fits("")


def test_the_fingerprint_is_that_of_the_chosen_files(sealed):
    folder, seal = sealed
    both, log = seal.fingerprint(), seal.fingerprint("log")
    (folder / "model" / "a").write_text("other")
    assert seal.fingerprint() == both  # of what was sealed
    seal.put(folder / "model", folder / "log", key="another")
    assert seal.fingerprint() != both
    assert seal.fingerprint("log") == log


def test_damage_is_a_warning_of_the_logger(caplog):
    tell(Damaged("a is gone."), "it is made again")
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("spurion", logging.WARNING)
    assert record.getMessage() == "a is gone; it is made again."


def test_a_seal_of_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Seal(tmp_path, "x").put(tmp_path / "none")
    assert not os.listdir(tmp_path)
