import hashlib
import json
import os

import pytest
import torch

from spurion.core.store import KeyedFile, Store, first_difference
from spurion.core.tensors import Damaged


@pytest.fixture
def sealed(tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("model/a", "model/b", "log"):
        (tmp_path / name).write_text(name)
    seal = Store(tmp_path, "train")
    assert seal.key is None
    assert not seal.is_whole()
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
    assert seal.is_whole()
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
    assert not seal.is_whole()
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
    assert not seal.is_whole()
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


def test_a_seal_of_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Store(tmp_path, "x").put(tmp_path / "none")
    assert not os.listdir(tmp_path)


FILE = {"kind": "search", "another": "belongs to another search", "remedy": "delete it"}
KEY = {"k": 3, "distance": {"name": "l2"}}


def loaded(file, key):
    return file.load(key, lambda tensors, facts: (tensors["a"].tolist(), facts))


def test_a_keyed_file_comes_back_to_its_own_work_alone(tmp_path):
    file = KeyedFile(tmp_path / "new" / "state", **FILE)
    assert loaded(file, KEY) is None
    file.save({"a": torch.arange(3)}, KEY, done=2)
    assert loaded(file, dict(reversed(KEY.items()))) == ([0, 1, 2], {"done": 2})
    with pytest.raises(
        ValueError, match=r"state belongs to another search .its k is 3, not 4.; delete it\.$"
    ):
        loaded(file, KEY | {"k": 4})
    file.save({"a": torch.arange(3)}, {"k": (1, 2)})
    assert loaded(file, {"k": (1, 2)}) == ([0, 1, 2], {})


def test_what_nothing_can_be_made_of_is_damage(tmp_path):
    file = KeyedFile(tmp_path / "state", **FILE)
    file.save({"b": torch.arange(3)}, KEY)
    with pytest.raises(Damaged, match=r"state is damaged \(it holds no search state: 'a'\)"):
        loaded(file, KEY)
    other = KeyedFile(tmp_path / "state", **FILE | {"kind": "training"})
    with pytest.raises(Damaged, match=r"it holds no training state: 'training'"):
        loaded(other, KEY)


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ({"a": 1, "b": {"c": [1]}}, {"b": {"c": [1]}, "a": 1}, None),
        ({"a": 1, "b": {"c": [1]}}, {"a": 1, "b": {"c": [2]}}, ("b.c", [1], [2])),
        ({"a": 1}, {"a": 1, "b": 0}, ("b", None, 0)),
        ({"a": 1, "b": 0}, {"a": 1}, ("b", 0, None)),
        ({"a": {}}, {"a": 1}, ("a", {}, 1)),
    ],
)
def test_the_first_difference_is_named(old, new, difference):
    assert first_difference(old, new) == difference


@pytest.fixture
def kept(tmp_path):
    store, beside = Store(tmp_path, "scan"), tmp_path / "rows.csv"
    beside.write_text("rows")
    store.keep(tmp_path / "scan.json", {"value": 1}, beside, key="k")
    return store, (tmp_path / "scan.json", lambda values: values["value"], beside)


def test_a_result_is_kept_and_recalled(kept, caplog):
    store, place = kept
    assert store.recall(*place, key="k") == 1
    assert store.recall(*place, key="other") is None
    store.remove(*place[::2])
    assert [path.exists() for path in place[::2]] == [False, False]
    assert store.recall(*place, key="k") is None
    assert not told(caplog)


def test_a_result_of_a_former_version_is_sealed_as_it_is(kept):
    store, place = kept
    store.remove()
    assert store.recall(*place, key="new") == 1
    assert store.key == "new"
    store.remove(place[2])
    assert store.recall(*place, key="new") == 1
    assert store.key is None


def test_a_damaged_result_is_told_and_taken_away(kept, caplog):
    store, place = kept
    assert not store.clear()
    place[2].write_text("other")
    assert store.recall(*place, key="k") is None
    assert store.clear()
    assert [path.exists() for path in place[::2]] == [True, False]
    assert told(caplog) == [f"{place[2]} is damaged (its checksum differs); it is made again."] * 2
    store.remove()
    place[0].write_text("{}")
    assert store.recall(*place, key="k") is None
    assert told(caplog)[2:] == [f"{place[0]} is damaged ('value'); it is made again."]
