"""The report of an audit: the stored numbers in words and tables, escaped, whole without a network."""

import json
import re
import shutil
import subprocess
from html import unescape

import pytest
import torch

from planted import planted
from spurion import audit
from spurion.audits.checks import checked
from spurion.audits.checks.not_shown import PROMISE
from spurion.data import ImageSet
from spurion.report import write_report
from spurion.report.figures import FIGURES, Picture, Plate
from spurion.report.figures.canvas import figure_style
from spurion.report.figures.distances import draw_distances
from spurion.report.html import render
from spurion.report.overview import overview
from spurion.report.run import Run, Shown, read_run
from spurion.report.sections.making import certain
from spurion.report.sections.single import null_readings
from spurion.report.trios import Line, copied, ranked

EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">&amp;"
FIXED = "fixed:0.5,0.5"
OF_AN_AUDIT = ("distances", "sensitivity", "rarefaction", "census")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An audit of sets with hostile names, with a group of duplicates, an overlap and a gate."""
    sets = planted(1, train=150, copies=60)
    train = torch.cat([sets.train, sets.train[:2]])
    holdout = torch.cat([sets.holdout, sets.train[:1]])
    out = tmp_path_factory.mktemp("audited")
    audit(
        ImageSet(train, f"train {EVIL}", tuple(f"{i} {EVIL}.png" for i in range(len(train)))),
        ImageSet(sets.samples, f"samples {EVIL}"),
        ImageSet(holdout, f"holdout {EVIL}", tuple(f"h{i} {EVIL}" for i in range(len(holdout)))),
        fail_if="memorized > 0.01",
        transforms="all",
        thresholds=FIXED,
        out=out,
    )
    return out


@pytest.fixture(scope="module")
def found(folder):
    return read_run(folder)


@pytest.fixture(scope="module")
def page(found):
    dot = Picture("data:image/svg+xml;base64,PHN2Zy8+", 96, 48)
    return render(found, dict.fromkeys(FIGURES, Plate(dot, dot)))


def test_the_first_page_has_what_a_reader_needs(page, found):
    first = page[: page.index('<section id="exposure">')]
    text = " ".join(unescape(re.sub(r"<[^>]+>", "", first)).split())
    assert "What was tested" in text
    assert "The audit fails (asked to fail if memorized > 0.01)" in text
    share = found.audits[0].fractions.memorized
    assert "Of 100 samples, 60 are copies of training images: 60%" in text
    assert f"between {100 * share.low:.0f}% and {100 * share.high:.0f}% with a confidence of 95%" in text
    assert text.count(PROMISE) == 2
    assert "What does not follow" in text
    assert all(sentence in text for sentence in found.audits[0].said("limit"))
    assert "1 held-out image is also in the training set, which hides copying: h150" in text
    assert "100% are recognized as copies" in text


def test_sections_stand_in_order(page):
    ids = re.findall(r'<section id="(\w+)">', page)
    assert ids == [
        *("studied", "answer", "certainty", "exposure", "gallery", "alphas", "distances", "null", "rules"),
        *("metrics", "classes", "sensitivity", "rarefaction", "census", "methods", "provenance"),
    ]


def test_the_exposure_table_has_the_stored_counts(page, found):
    table = page[page.index('<section id="exposure">') : page.index('<section id="gallery">')]
    rows = re.findall(r"<tr>\n<th scope=\"row\">(\d+)</th>\n<td>.*?</td>\n<td data-value=\"(\d+)\">", table)
    stored = [(str(image.train_index), str(image.count)) for image in found.audits[0].exposure[:50]]
    assert rows == stored
    assert "4 training images have an equal one elsewhere in the training set, in 2 groups" in table


def test_hashes_and_metrics_are_there(page, found):
    for source in (
        found.audits[0].inputs.train,
        found.audits[0].inputs.samples,
        found.audits[0].inputs.holdout,
    ):
        assert source.sha256 in page
    for metric in found.audits[0].metrics:
        assert metric.source in unescape(page)


def test_names_are_text_and_nothing_comes_from_elsewhere(page):
    assert "<script>document" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;document" in page
    assert re.findall(r"<script[^>]*>(.*?)</script>", page) == [""]
    assert re.findall(r"(?:src|href|srcset)=\"(?!#|data:)", page) == []
    assert "default-src 'none'" in unescape(page)
    assert "http://" not in re.sub(r"data:[^\"]+", "", page)


def chromium():
    return next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)


@pytest.mark.skipif(chromium() is None, reason="there is no browser")
@pytest.mark.slow
def test_a_script_in_a_name_does_not_run(page, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'p'}"]
    shown = subprocess.run(
        [*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=120
    ).stdout
    assert "<title>Audit of samples" in shown
    assert "<title>owned" not in shown


def test_the_gallery_is_sorted_with_lines_where_the_thresholds_fall(found):
    items = ranked(found.single)
    trios = [item for item in items if not isinstance(item, Line)]
    lines = [item for item in items if isinstance(item, Line)]
    assert len(trios) == len(found.single.gallery)
    quantile = found.audits[0].holdout_thresholds.memorized
    assert [line.distance for line in lines] == sorted([quantile, 0.5])
    first = items.index(next(line for line in lines if line.distance == 0.5))
    assert {trio.kind for trio in items[:first] if not isinstance(trio, Line)} == {"memorized"}
    assert "memorized" not in {trio.kind for trio in items[first + 1 :] if not isinstance(trio, Line)}
    distances = found.single.samples.distance_train[found.single.gallery.index]
    assert (distances[1:] >= distances[:-1]).all()
    assert all(trio.uri.startswith("data:image/png;base64,") for trio in trios)


def test_the_most_copied_images_are_shown_with_a_copy_each(found):
    shown = copied(found.single)
    assert [trio.title for trio in shown] == [
        f"{image.count} copies" for image in found.audits[0].exposure[:20]
    ]


def test_large_images_are_shrunk(tmp_path):
    images = torch.rand(4, 3, 100, 200, generator=torch.Generator().manual_seed(0))
    audit(images, images[:3] + 0, thresholds="fixed:0.1,0.1", out=tmp_path)
    trio = copied(read_run(tmp_path).single)[0]
    assert (trio.width, trio.height) == (288, 48)


def test_figures_are_drawn_in_both_widths(found):
    with figure_style():
        for width in ("wide", "narrow"):
            assert all(FIGURES[name](found, width) is not None for name in OF_AN_AUDIT)
        left, right = draw_distances(found, "wide").axes
    heights = left.patches[0].get_data().values
    assert heights.sum() == pytest.approx(1)
    assert right.patches[0].get_data().values[-1] == pytest.approx(1)
    marks = {line.get_xdata()[0] for line in left.lines}
    limits = found.audits[0].thresholds, found.audits[0].holdout_thresholds
    assert marks == {limits[0].memorized, limits[0].spurious, limits[1].memorized}


def judged(found, *, warned=False, **values):
    """The run with a changed audit and what is said of it, without a verdict."""
    audit = found.audits[0]
    warnings = tuple(claim for claim in audit.claims if warned and claim.severity == "warning")
    changes = {"verdict": None, "signs": (), "claims": warnings, **values}
    return Run((Shown(checked(audit.model_copy(update=changes))),))


def answer(run):
    top = overview(run)
    return " ".join((*top.answer, *top.doubts))


def test_the_answer_has_a_form_for_every_outcome(found):
    audit = found.audits[0]
    text = answer(judged(found, fractions=None, counts=None, exposure=()))
    assert "No threshold could be identified, so none of the 100 samples is called a copy or new" in text
    memorized = audit.fractions.memorized.model_copy(update={"value": 0, "low": 0, "high": 0.03})
    none = audit.fractions.model_copy(update={"memorized": memorized})
    nothing = {"fractions": none, "counts": (0, 50, 50), "exposure": (), "null": None, "separation": None}
    nothing["inputs"] = audit.inputs.model_copy(update={"holdout": None})
    bound = "None of the 100 samples is a copy of a training image; a model that copies in up to 3.0%"
    text = answer(judged(found, **nothing))
    assert bound in text
    assert "There were no held-out images" in text
    only = audit.exposure[0].model_copy(update={"count": 60})
    assert "They are all copies of one training image" in answer(judged(found, exposure=(only,)))
    two = tuple(image.model_copy(update={"count": 2}) for image in audit.exposure)
    assert "came out twice." in answer(judged(found, exposure=two))


def test_what_may_be_chance_is_not_called_a_copy(found):
    """60 samples are memorized: by chance if 61 were needed to be more, not if 58 and two are equal."""
    power = found.audits[0].power.model_copy(update={"false_positive_rate": 0.02, "count_needed": 61})
    chance = judged(found, power=power)
    text = answer(chance)
    assert "Of 100 samples, 60 lie as near to a training image as a copy: 60%" in text
    assert "calls up to 2% of new images memorized; fewer than 61 are no more than chance." in text
    assert "copies of" not in text
    tile = next(tile for tile in overview(chance).tiles if tile.text == "60%")
    assert (tile.name, tile.notes[1]) == ("As near as copies", "perhaps no copies: see the answer")

    few = {"power": power.model_copy(update={"count_needed": 58}), "exact_copies": (3, 8)}
    copies = judged(found, **few)
    assert "Of 100 samples, 60 are copies of training images: 60%" in answer(copies)
    assert "2 of the samples equal training images, byte for byte." in answer(copies)
    assert any("so some 2 may be false alarms." in note for note in copies.audits[0].said("note"))
    tile = next(tile for tile in overview(copies).tiles if tile.text == "60%")
    assert tile.name == "Copies of training images"
    images = f"of {len(copies.audits[0].exposure)} different training images"
    assert tile.notes[1:3] == (images, "2 equal a training image")

    unknown = answer(judged(found, fractions=None, counts=None, **few))
    assert "Whether there are other copies among the 100 samples than equal ones stays open" in unknown


def test_a_threshold_that_misses_known_copies_bounds_nothing(found):
    controls = found.audits[0].controls
    broken = controls.noisy_copies.model_copy(update={"value": 0.5})
    missed = {"controls": controls.model_copy(update={"noisy_copies": broken, "transformed": {}})}
    doubt = "The threshold misses copies: of training images with a whisper of noise 50% are called memorized"
    text = answer(judged(found, **missed))
    assert "; there may be more." in text
    assert doubt in text
    none = judged(found, **missed, counts=(0, 50, 50), exposure=())
    assert "None of the 100 samples is called a copy of a training image, but copies cannot be" in answer(
        none
    )
    assert any("in doubt: see the answer" in tile.notes for tile in overview(none).tiles)
    sound = {"controls": controls.model_copy(update={"transformed": {}})}
    sure = judged(found, **sound)
    assert not any("in doubt: see the answer" in tile.notes for tile in overview(sure).tiles)


@pytest.mark.parametrize(
    ("low", "p", "words"),
    [
        (0.6, 0.001, "traces of the training set beyond chance (p = 0.0010)"),
        (0.6, 1e-208, "traces of the training set beyond chance (p < 0.0001)"),
        (0.6, 0.2, "a hint of traces"),
        (0.4, 0.001, "traces of the training set beyond chance (p = 0.0010)"),
        (0.4, 0.2, "no trace beyond chance was found here, but other evidence speaks"),
    ],
)
def test_what_the_held_out_null_says(low, p, words, found):
    null = found.audits[0].null
    share = null.share_closer_to_train.model_copy(update={"low": low})
    null = null.model_copy(update={"share_closer_to_train": share, "share_p_value": p})
    assert words in answer(judged(found, warned=low < 0.5, null=null))


@pytest.mark.parametrize(
    ("p", "shown"), [(1e-208, "< 0.0001"), (0.0, "< 0.0001"), (1e-4, "0.0001"), (0.2, "0.20"), (None, "–")]
)
def test_p_values_in_the_table(p, shown, found):
    null = found.audits[0].null.model_copy(update=dict.fromkeys(("share_p_value", "ct_p_value"), p))
    (table,) = null_readings(judged(found, null=null)).tables
    assert [row[3].text for row in table.rows[:2]] == [shown, shown]


def test_certainty_names_the_rule_and_what_failed(found):
    text = " ".join(certain(found).values["certain"])
    assert "A copy is a sample at most 0.5 from a training image, in the l2 distance" in text
    thresholds = found.audits[0].thresholds
    lost = thresholds.model_copy(update={"memorized": None, "notes": ("no valley.",)})
    assert "found none: no valley." in " ".join(certain(judged(found, thresholds=lost)).values["certain"])


def test_the_same_folder_gives_the_same_bytes_and_a_redacted_one_no_images(tmp_path):
    sets = planted(1)
    audit(sets.train, sets.samples, thresholds=FIXED, redact=True, out=tmp_path)
    first = write_report(tmp_path).read_bytes()
    files = {f"{name}.{kind}" for name in OF_AN_AUDIT for kind in ("pdf", "png")}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == files
    assert write_report(tmp_path).read_bytes() == first
    text = first.decode()
    assert "data:image/png" not in text
    assert '<section id="gallery">' not in text
    assert "Names and images were left out on request" in text


def test_damaged_folders_are_named(folder, tmp_path):
    stored = json.loads((folder / "audit.json").read_text())
    for values, words in (([], "must hold a JSON object, got list"), ({**stored, "seed": "x"}, "seed")):
        (tmp_path / "audit.json").write_text(json.dumps(values))
        with pytest.raises(ValueError, match=words):
            read_run(tmp_path)
    (tmp_path / "audit.json").write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=r"There is no file .*samples\.csv"):
        read_run(tmp_path)
    shutil.copy(folder / "samples.csv", tmp_path)
    with pytest.raises(ValueError, match=r"There is no file .*gallery\.npz"):
        read_run(tmp_path)
