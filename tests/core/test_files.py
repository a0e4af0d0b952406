import os
import stat

import pytest

from spurion.core.files import atomic_write, read_json, remove_leftovers, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="killed"), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("killed")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    path = tmp_path / "a[1].txt"
    others = [".a1.txt.x7_45678.txt", ".b.txt.x7_45678.txt", ".a[1].txt.old.x7_45678.old"]
    for name in ("a[1].txt", ".a[1].txt.x7_45678.txt", *others):
        write_text(tmp_path / name, "")
    remove_leftovers(path)
    remove_leftovers(tmp_path / "absent" / "a.txt")
    assert sorted(os.listdir(tmp_path)) == sorted(["a[1].txt", *others])


def test_the_file_is_absent_until_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text() == "whole"


def test_permissions_follow_the_umask(tmp_path):
    mask = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_json_round_trip_and_damage(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": [1, 2.5, None], "é": "x"})
    assert read_json(path) == {"b": [1, 2.5, None], "é": "x"}
    path.write_text(path.read_text()[:-4])
    with pytest.raises(ValueError, match=r"a\.json is damaged"):
        read_json(path)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    assert not (tmp_path / "b.json").exists()
