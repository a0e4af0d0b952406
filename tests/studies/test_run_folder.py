import subprocess
import sys

import pytest

from spurion.studies.folder import RunFolder, stage_seconds, timed
from spurion.studies.recipes import named_config


def test_the_configuration_is_written_first_and_recognized(tmp_path):
    config = named_config("digits")
    folder = RunFolder(tmp_path / "run")
    with folder.opened(config):
        assert named_config(folder.config_file) == config
    with folder.opened(config):
        pass


def test_another_configuration_is_refused(tmp_path):
    folder = RunFolder(tmp_path)
    with folder.opened(named_config("digits")):
        pass
    with (
        pytest.raises(ValueError, match=r"`training\.iterations` is 16000 there and 5 now"),
        folder.opened(named_config("digits", ["training.iterations=5"])),
    ):
        pass


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("iterations: 16000", "iterations: many", r"config\.yaml: `training.iterations`"),
        ("name: digits", "name: [", "not valid YAML"),
        ("seed: 0", "seed: 3", "`seed` is 3 there and 0 now"),
    ],
)
def test_a_hand_edited_configuration_is_named(tmp_path, old, new, message):
    folder = RunFolder(tmp_path)
    with folder.opened(named_config("digits")):
        pass
    text = folder.config_file.read_text()
    assert old in text
    folder.config_file.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message), folder.opened(named_config("digits")):
        pass
    assert folder.config_file.read_text() == text.replace(old, new, 1)


def test_points_without_a_configuration_are_not_touched(tmp_path):
    (tmp_path / "points").mkdir()
    with (
        pytest.raises(ValueError, match=r"without its config\.yaml"),
        RunFolder(tmp_path).opened(named_config("digits")),
    ):
        pass


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(ValueError, match="is a file"), RunFolder(path).opened(named_config("digits")):
        pass


HOLDER = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("spurion.studies.folder.LOCK_PATIENCE", 0.1)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / ".lock")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(ValueError, match="Another process is working"),
            RunFolder(tmp_path).opened(named_config("digits")),
        ):
            pass
    finally:
        holder.kill()
        holder.wait()
    with RunFolder(tmp_path).opened(named_config("digits")):
        pass


def test_stage_times_add_up(tmp_path, monkeypatch):
    clock = iter([0.0, 1.5, 10.0, 12.0, 20.0, 21.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    for stage in ("train", "sample", "train"):
        with timed(tmp_path, stage):
            pass
    assert stage_seconds(tmp_path) == {"train": 2.5, "sample": 2.0}
