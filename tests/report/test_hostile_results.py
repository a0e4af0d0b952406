"""Results from anyone: a right page, or one sentence that names the file; never a fault, never for long."""

import json
import os
import re
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from cli.command_line import run
from planted import planted
from report.mutations import EVIL, mutants
from report.synthetic import Recipe, write_run
from spurion import audit
from spurion.core.files import read_json
from spurion.data import ImageSet
from spurion.report import write_report
from spurion.report.figures.canvas import figure_style
from spurion.report.figures.distances import draw_distances
from spurion.report.html import render
from spurion.report.run import read_run
from spurion.report.stored import read_arrays

CLAIM = {"kind": "mine", "severity": "note", "sentence": "x"}

HIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200f]")
"""What steers a terminal or turns the direction of reading."""

STUDY = Recipe(sizes=(2, 16, 90), samples=60, failed=(90,), geometry=True, gallery=2)


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_run(folder, STUDY)
    return folder


@pytest.fixture(scope="module")
def audit_folder(tmp_path_factory):
    """A redacted audit, which needs no other files, with a geometry."""
    sets, folder = planted(1, train=40, copies=40), tmp_path_factory.mktemp("audit")
    train, holdout = ImageSet(sets.train, "train"), ImageSet(sets.holdout, "holdout")
    audit(train, ImageSet(sets.samples, "s"), holdout, fail_if="memorized > 0.01", redact=True, out=folder)
    path = folder / "audit.json"
    write_run(folder / "of a study", STUDY)
    study = json.loads((folder / "of a study" / "study.json").read_text())
    geometry = {"geometry": study["points"][1]["audit"]["geometry"], "curvature": study["curvature"]}
    path.write_text(json.dumps(json.loads(path.read_text()) | geometry))
    return folder


def _page(folder):
    return render(read_run(folder), {})


def _judge(folder, name, count, seed):
    """Texts of mutants in the place of a file; how many of them made a page."""
    path = folder / name
    shutil.rmtree(folder / ".seals", ignore_errors=True)  # what a liar does first
    whole, made = path.read_text(), 0
    try:
        for what, text in mutants(json.loads(whole), count, seed):
            path.write_text(text)
            try:
                html = _page(folder)
            except ValueError as error:
                sentence = str(error)
                assert str(path) in sentence or "points/" in sentence, (what, sentence)
                assert "\n" not in sentence, (what, sentence)
                assert len(sentence) < 600, (what, sentence)
                continue
            made += 1
            assert not HIDDEN.search(html), what
            assert "<b>`" not in html, what
            assert html.count("</script>") <= 2, what
    finally:
        path.write_text(whole)
    return made


def test_lies_in_a_study_are_refused_by_name(study_folder):
    assert 10 < _judge(study_folder, "study.json", 140, seed=1) < 90


def test_lies_in_an_audit_are_refused_by_name(audit_folder):
    assert 10 < _judge(audit_folder, "audit.json", 140, seed=2) < 90


def _change(folder, **values):
    path = folder / "audit.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.fixture
def lying(audit_folder, tmp_path):
    shutil.copy(audit_folder / "audit.json", tmp_path)
    return tmp_path


def test_units_and_names_are_no_mathematics_in_a_figure(lying):
    _change(lying, distance={"name": r"$\frac{$", "unit": EVIL * 5})
    with figure_style():
        figure = draw_distances(read_run(lying), "wide")
        figure.draw_without_rendering()
        assert figure.get_supxlabel().startswith(r"\$\frac{\$ distance (</script>")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("counts", [50, 50, 50], "must be of the 80 samples, got more"),
        ("exact_copies", [80], "`exact_copies` must count in a set of 80, got the index 80"),
        ("train_duplicates", [[0, 40]], "`train_duplicates` must count in a set of 40, got the index 40"),
        ("exposure", [{"train_index": 40, "count": 1, "duplicates": 0}], "`exposure` must count in a"),
        ("collision_rate", 1.5, "`collision_rate`: input should be less than or equal to 1"),
        ("environment", {str(i): i for i in range(10_001)}, "at most 10,000 values"),
        ("claims", [CLAIM] * 1001, "at most 1000 items"),
        ("claims", [CLAIM | {"sentence": "x" * 100_001}], "at most 100000 characters"),
        ("claims", [CLAIM | {"severity": "praise"}], "`claims.0.severity`"),
        ("histograms", {"edges": [1, 2], "train": [], "samples": [1]}, "each of the 1 bins, got 0"),
        ("histograms", {"edges": [2, 1], "train": [1], "samples": [1]}, "`edges` must increase"),
        ("sensitivity", {"factors": [], "memorized": [1], "spurious": [1], "generalized": [1]},
         "`memorized` must have one entry for each of the 0 factors, got 1"),
        ("schema", "spurion.audit/3", "was made by a newer version of Spurion"),
        ("schema", "spurion.study/1", "`schema`: input should be 'spurion.audit/2'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(lying, field, value, reason):
    _change(lying, **{field: value})
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        read_run(lying)
    assert str(caught.value).startswith(str(lying / "audit.json"))


def _npz(path, header=None, **arrays):
    np.savez_compressed(path, **arrays)
    if header is not None:
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("lie.npy", header)


def _header(text):
    raw = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw


HEADERS = {
    "terabytes": "{'descr': '|u1', 'fortran_order': False, 'shape': (10**13,)}",
    "terabytes as a number": "{'descr': '|u1', 'fortran_order': False, 'shape': (10000000000000,)}",
    "more than there is": "{'descr': '|u1', 'fortran_order': False, 'shape': (100,)}",
    "negative": "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}",
    "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
    "texts": "{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000,)}",
    "deep": "-" * 9000 + "1",
    "no header": "x",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_an_array_that_lies_of_its_size_or_kind_is_refused(tmp_path, header):
    _npz(tmp_path / "a.npz", _header(header), whole=np.arange(3))
    assert read_arrays(tmp_path / "a.npz", ["whole"])["whole"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"a\.npz is damaged \("):
        read_arrays(tmp_path / "a.npz", ["lie"])


def test_a_compressed_bomb_is_not_unpacked(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file,
        file.open("a.npy", "w") as array,
    ):
        array.write(_header("{'descr': '|u1', 'fortran_order': False, 'shape': (671088640,)}"))
        for _ in range(640):
            array.write(bytes(2**20))
    assert (tmp_path / "a.npz").stat().st_size < 2**20
    with pytest.raises(ValueError, match=r"`a` is larger than 536,870,912 bytes"):
        read_arrays(tmp_path / "a.npz", ["a"])


def test_what_is_no_archive_is_refused(tmp_path):
    for content in (b"", b"PK", np.arange(3).tobytes()):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npz is damaged"):
            read_arrays(tmp_path / "a.npz", ["a"])
    np.save(tmp_path / "a.npy", np.arange(3))
    with pytest.raises(ValueError, match=r"a\.npy is damaged"):
        read_arrays(tmp_path / "a.npy", ["a"])
    with pytest.raises(ValueError, match="There is no file"):
        read_arrays(tmp_path / "absent.npz", ["a"])


ROWS = {
    "0,memorized,nan,0,,0.1,1": "`distance_train` must be a distance, neither negative or infinite",
    "0,memorized,1e999,0,,0.1,1": "`distance_train` must be a distance",
    "0,memorized,0.1,2,,0.1,1": "`nearest_train` must be an index below 2, got '2'",
    "0,memorized,0.1,-1,,0.1,1": "`nearest_train` must be an index",
    f"0,memorized,0.1,{'9' * 5000},,0.1,1": "`nearest_train` must be an index",
    "0,memorized,0.1,0,,0.1,60": "`nearest_sample` must be an index below 60, got '60'",
    "0,memorized,0.1,0,-1,0.1,1": "`distance_train_2` must be a distance",
    "0,memorized,x,0,,0.1,1": "could not convert",
    '0,"memo\nrized",0.1,0,,0.1,1': r"`label` must be a class or empty, got 'memo\nrized'",
    "0,memorized,0.1,0,,0.1": "row 1 must have 7 values, got 6",
    "0," + "x" * 200_000 + ",0.1,0,,0.1,1": "field larger than field limit",
}


@pytest.mark.parametrize(("row", "reason"), ROWS.items(), ids=range(len(ROWS)))
def test_a_row_that_lies_is_named(study_folder, tmp_path, row, reason):
    shutil.copytree(study_folder, tmp_path / "run")
    path = tmp_path / "run" / "points" / "000002" / "samples.csv"
    header, _, *rest = (",".join(line.split(",")[:7]) for line in path.read_text().splitlines())
    path.write_text("\n".join([header, row, *rest]) + "\n")
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        read_run(tmp_path / "run")
    assert str(path) in str(caught.value)


MORE = {
    "p_value": {"1.0001": "`p_value` must lie between 0 and 1", "nan": "between 0 and 1", "x": "convert"},
    "met_again": {"-0.1": "`met_again` must lie between 0 and 1", "inf": "between 0 and 1"},
    "listed": {"True": "`listed` must be true, false or empty, got 'True'", "1": "must be true, false"},
}


@pytest.mark.parametrize(("column", "text"), [(name, text) for name, bad in MORE.items() for text in bad])
def test_a_further_column_that_lies_is_named(study_folder, tmp_path, column, text):
    shutil.copytree(study_folder, tmp_path / "run")
    path = tmp_path / "run" / "points" / "000002" / "samples.csv"
    header, *rows = (line.split(",") for line in path.read_text().splitlines())
    rows[2][header.index(column)] = text
    path.write_text("".join(",".join(row) + "\n" for row in (header, *rows)))
    with pytest.raises(ValueError, match=re.escape(MORE[column][text])) as caught:
        read_run(tmp_path / "run")
    assert "row 3" in str(caught.value)


@pytest.mark.parametrize("more", ["surprise", "listed,listed", "index"])
def test_columns_that_are_none_are_refused(study_folder, tmp_path, more):
    shutil.copytree(study_folder, tmp_path / "run")
    path = tmp_path / "run" / "points" / "000002" / "samples.csv"
    header, *rows = (",".join(line.split(",")[:7]) for line in path.read_text().splitlines())
    commas = "," * (more.count(",") + 1)
    path.write_text("".join(f"{line}\n" for line in (f"{header},{more}", *(row + commas for row in rows))))
    with pytest.raises(ValueError, match=r"samples\.csv is damaged \((the columns must be|each column)"):
        read_run(tmp_path / "run")


@pytest.mark.parametrize(("rows", "found"), [(59, 59), (61, 61), (100, 100)])
def test_there_are_as_many_rows_as_samples(study_folder, tmp_path, rows, found):
    shutil.copytree(study_folder, tmp_path / "run")
    path = tmp_path / "run" / "points" / "000002" / "samples.csv"
    header, *old = path.read_text().splitlines()
    path.write_text("\n".join([header, *(old + old)[:rows]]) + "\n")
    with pytest.raises(ValueError, match=rf"there must be 60 samples, the file has {found}"):
        read_run(tmp_path / "run")


def test_doors_that_are_none(tmp_path, lying):
    with pytest.raises(ValueError, match="There is no file or folder"):
        write_report(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"must be the folder of a study or of an audit; .*file is a file"):
        write_report(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty has no study\.json and no audit\.json"):
        write_report(tmp_path / "empty")
    (tmp_path / "empty" / "config.yaml").touch()
    with pytest.raises(ValueError, match=r"The study in .*empty is not finished"):
        write_report(tmp_path / "empty")
    (lying / "figures").touch()
    with pytest.raises(OSError, match="figures"):
        write_report(lying)
    assert not (lying / "report.html").exists()


NAMES = (
    b"\xff.png",
    b"\x1b[2J.png",
    b"a\nb.png",
    b"script><b>`.png",
    "\u202egnp.png".encode(),
    b"$x^$.png",
)


def test_files_of_any_name_come_through_an_audit(tmp_path):
    sets = planted(2, train=len(NAMES), copies=30)
    folder, out = tmp_path / os.fsdecode(b"set \xfe\x1b[31m"), tmp_path / "out"
    folder.mkdir()
    for name, image in zip(NAMES, ImageSet(sets.train).to_uint8()[:, 0].numpy(), strict=True):
        Image.fromarray(image).save(folder / os.fsdecode(name), "PNG")
    np.savez(tmp_path / "s.npz", arr_0=ImageSet(sets.samples).to_uint8().permute(0, 2, 3, 1).numpy())
    options = (
        "--train",
        folder,
        "--samples",
        tmp_path / "s.npz",
        "--thresholds",
        "fixed:0.5,0.5",
        "--out",
        out,
    )
    result = run("audit", "--train", folder, "--samples", tmp_path / "s.npz", *options)
    assert result.exit_code == 0, result.stderr
    assert not HIDDEN.search(result.stdout + result.stderr)
    values = read_json(out / "audit.json")
    names = [image["name"] for image in values["exposure"]]
    assert "script><b>`.png" in names
    assert all(name.isprintable() for name in (*names, values["inputs"]["train"]["name"]))
    html = (out / "report.html").read_text()
    assert "script&gt;&lt;b&gt;`.png" in html
    assert not HIDDEN.search(html)
