import errno
import os
import stat
import subprocess
import sys

import pytest

from spurion.core.files import atomic_write, read_json, refusal, remove_leftovers, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="killed"), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("killed")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
@pytest.mark.parametrize("how", ["quoted", "while handled", "plain"])
def test_what_the_place_refuses_is_an_error_of_the_system(tmp_path, number, how):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(OSError, match=os.strerror(number)) as caught, atomic_write(path) as temporary:
        temporary.write_text("half")
        if how == "quoted":
            raise RuntimeError(f"I/O error: {os.strerror(number)} (os error {number})")
        try:
            raise OSError(number, os.strerror(number), str(temporary))
        except OSError:
            if how == "plain":
                raise
            raise ValueError("the archive cannot be closed")  # noqa: B904
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_is_no_refusal_stays_what_it_is(tmp_path):
    assert refusal(ValueError("x (os error 2)")) is None
    assert refusal(FileNotFoundError(errno.ENOENT, "x")) is None
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("half")
        (tmp_path / "none").read_text()
    assert caught.value.filename == str(tmp_path / "none")
    with pytest.raises(OSError, match="a_file") as caught, atomic_write(tmp_path / "a_file"):
        raise OSError(errno.EIO, "Input/output error")
    assert caught.value.filename == str(tmp_path / "a_file")


ORPHAN = """
import os, sys
from spurion.core.files import write_only_under, write_text
write_text(sys.argv[1], "whole")
write_only_under(os.getppid())
write_text(sys.argv[1], "newer")
write_only_under(os.getppid() + 1)
write_text(sys.argv[1], "too late")
"""


def test_a_process_whose_parent_is_gone_finishes_no_file(tmp_path):
    done = subprocess.run([sys.executable, "-c", ORPHAN, str(tmp_path / "a")], check=False)
    assert done.returncode == 1
    assert (tmp_path / "a").read_text() == "newer"


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
