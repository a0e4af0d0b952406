"""Computed once and stored: known by its key, written whole or not at all, and told where it is damaged.

Two forms:

- A `Store` is what one stage of work left in a folder, in files of any kind and as their readers want them.
  A small file of checksums, the seal, is taken away before they are made and written after them, so that a
  killed stage has no seal, and a seal that does not fit its files means damage and nothing else.
- A `KeyedFile` is one file of tensors that is written again and again while work goes on: training states,
  search checkpoints, shards of samples. It names what it belongs to in its header.

What is private to a run is made again where it is damaged, and `spurion.core.tensors.tell` says so; what a
user asked for is a `Damaged` error. Files of a former version, without a seal, are read as they are.
"""

__all__ = ["AGAIN", "KeyedFile", "Store", "first_difference"]

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from spurion.core.files import atomic_write, read_json, remove_leftovers, visible, write_json
from spurion.core.tensors import CHECKSUM, Damaged, Tensors, holding, load_tensors, save_tensors, tell

AGAIN = "it is made again"
"""What a run does about damage."""

ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class KeyedFile:
    """A file of tensors that belongs to one work, and to no other.

    Attributes:
        path: The file.
        kind: What the work is, in one word.
        another: What is said of a file that belongs to another work.
        remedy: What to do about one.
    """

    path: Path
    kind: str
    another: str
    remedy: str

    def save(self, tensors: Tensors, key: Mapping[str, Any], **facts: Any) -> None:
        """Write the file, atomically and under a checksum.

        Arguments:
            tensors: The tensors, on any device.
            key: Plain values (as JSON knows them) that decide the numbers of the work.
            facts: More plain values.

        Raises:
            OSError: If the folder cannot be written or the disk is full; an older file is then untouched.
        """
        header = json.dumps({"identity": key, **facts}, sort_keys=True)
        save_tensors(self.path, tensors, {self.kind: header})

    def load(
        self, key: Mapping[str, Any], build: Callable[[Tensors, dict[str, Any]], ValueT]
    ) -> ValueT | None:
        """Read the file; None if there is none.

        Arguments:
            key: What the work at hand is; see `save`.
            build: Makes the result of the tensors and the facts.

        Raises:
            Damaged: If the file is damaged, or nothing can be made of it.
            ValueError: If it belongs to another work.
        """
        if not self.path.exists():
            return None
        tensors, header = load_tensors(self.path)
        with holding(self.path, f"{self.kind} state"):
            facts = dict(json.loads(header[self.kind]))
            found = dict(facts.pop("identity"))
            result = build(tensors, facts)
        self.check(found, key)
        return result

    def owner(self) -> dict[str, Any] | None:
        """The key of the work that the file belongs to; None if there is no file or it is damaged."""
        if not self.path.exists():
            return None
        try:
            _, header = load_tensors(self.path)
            with holding(self.path, f"{self.kind} state"):
                return dict(json.loads(header[self.kind])["identity"])
        except Damaged:
            return None

    def check(self, found: Mapping[str, Any], key: Mapping[str, Any]) -> None:
        """Refuse a file with another key.

        Raises:
            ValueError: If it has one; the sentence names the first difference.
        """
        if difference := first_difference(found, json.loads(json.dumps(key))):
            field, old, new = difference
            raise ValueError(
                f"{self.path} {self.another} (its {field} is {old!r:.80}, not {new!r:.80}); {self.remedy}."
            )


def first_difference(old: Any, new: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """The first field in which plain values differ, and both values there; None if they are equal."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            found = first_difference(old.get(key), new.get(key), f"{path}.{key}" if path else key)
            if found:
                return found
        return None
    return None if old == new else (path, old, new)


class Store:
    """What a stage of work left in a folder; see the module.

    Arguments:
        folder: The folder of the files.
        stage: The name of the work.
    """

    def __init__(self, folder: Path, stage: str) -> None:
        self._root = folder
        self._file = folder / ".seals" / f"{stage}.json"

    @property
    def key(self) -> str | None:
        """What the work was done for, see `put`; None if there is no seal, or one that is damaged itself."""
        content = self._read()
        return None if content is None else str(content["key"])

    def put(self, *paths: Path, key: str = "") -> None:
        """Seal files.

        Arguments:
            paths: Files, and folders for all files in them.
            key: What the work was done for, if other work could have left the same files.

        Raises:
            OSError: If a file cannot be read or the seal cannot be written.
        """
        files = {path.relative_to(self._root).as_posix(): _file_digest(path) for path in _files(paths)}
        content = {"key": key, "files": files}
        write_json(self._file, {**content, CHECKSUM: _json_digest(content)})

    def remove(self, *paths: Path) -> None:
        """Take the seal away, and files with it, before they are made again."""
        for path in (self._file, *paths):
            path.unlink(missing_ok=True)

    def keep(self, path: Path, value: Any, *beside: Path, key: str = "") -> None:
        """Write the result to a JSON file, the last of the stage's files, and seal them; see `recall`."""
        write_json(path, value)
        self.put(path, *beside, key=key)

    def recall(
        self, path: Path, parse: Callable[[Any], ValueT], *beside: Path, key: str = ""
    ) -> ValueT | None:
        """What the stage left in a JSON file.

        Files of a former version, which have no seal, are sealed as they are.

        Arguments:
            path: The file.
            parse: Makes the result of its value.
            beside: The other files of the stage.
            key: What the stage stands on.

        Returns:
            The result; None if the stage must be done, for the first time or because it stands on something
            else now or a file is damaged, which is told.
        """
        sealed = self.key is not None
        if not (self.is_whole(key) if sealed else path.exists()):
            return None
        try:
            result = parse(read_json(path))
        except (KeyError, TypeError, ValueError) as error:
            tell(Damaged(f"{path} is damaged ({' '.join(str(error).split())})."), AGAIN)
            return None
        if not sealed and all(file.exists() for file in beside):
            self.put(path, *beside, key=key)
        return result

    def give(self, folder: Path) -> bool:
        """Copy the sealed files to another folder, and the seal after them.

        Arguments:
            folder: The other folder, where this stage has left nothing yet.

        Returns:
            Whether that was done: nothing is copied without a seal, or if a file is not as it was.

        Raises:
            OSError: If the folder cannot be written or the disk is full.
        """
        content = self._read()
        if content is None or self.damage():
            return False
        for name in (*content["files"], self._file.relative_to(self._root).as_posix()):
            remove_leftovers(folder / name)
            with atomic_write(folder / name) as temporary:
                shutil.copyfile(self._root / name, temporary)
        return True

    def clear(self) -> bool:
        """Tell of the files that are damaged and take them away; whether there were any."""
        damage = self.damage()
        for path, error in damage.items():
            tell(error, AGAIN)
            path.unlink(missing_ok=True)
        return bool(damage)

    def fingerprint(self, ending: str = "") -> str:
        """One checksum of all sealed files whose names end so, the key of what stands on them."""
        if (content := self._read()) is None:
            return ""
        files = content["files"].items()
        return _json_digest({name: digest for name, digest in files if name.endswith(ending)})

    def fits(self, key: str) -> bool:
        """Whether there is a seal and its key is this one, where both are known."""
        known = self.key
        return known is not None and ("" in (known, key) or known == key)

    def damage(self, *only: Path) -> dict[Path, Damaged]:
        """What is wrong with the sealed files; nothing if all is well or there is no seal.

        Arguments:
            only: Look at these files alone.
        """
        wrong = {}
        for name, digest in (self._read() or {"files": {}})["files"].items():
            path = self._root / name
            if only and path not in only:
                continue
            if not path.is_file():
                wrong[path] = Damaged(f"{path} is gone.")
            elif _file_digest(path) != digest:
                wrong[path] = Damaged(f"{path} is damaged (its checksum differs).")
        return wrong

    def is_whole(self, key: str = "") -> bool:
        """Whether a seal fits a key and its files are as they were; the first damage is told."""
        if not self.fits(key):
            return False
        damage = list(self.damage().values())
        for error in damage[:1]:
            tell(error, AGAIN)
        return not damage

    def check(self, remedy: str, *only: Path) -> None:
        """Refuse sealed files that are not as they were.

        Arguments:
            remedy: What to do about it, the end of the sentence.
            only: Look at these files alone.

        Raises:
            Damaged: If one is not.
        """
        for error in self.damage(*only).values():
            raise Damaged(f"{str(error).removesuffix('.')}; {remedy}.")

    def _read(self) -> dict[str, Any] | None:
        try:
            content = json.loads(self._file.read_bytes())
            if content.pop(CHECKSUM) == _json_digest(content):
                return dict(content)
        except FileNotFoundError:
            return None
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            pass
        tell(Damaged(f"{self._file} is damaged."), "the files that it stood for are taken as they are")
        self.remove()
        return None


def _files(paths: Iterable[Path]) -> list[Path]:
    """Files, and those in folders."""
    found = []
    for path in paths:
        found += sorted(visible(path.rglob("*"))) if path.is_dir() else [path]
    return found


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json_digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
