"""The page: whole, equal to the stored numbers, escaped, and in need of nothing else."""

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from report.synthetic import HOSTILE, change
from spurion.phases.classification import CLASSES
from spurion.report import gallery as galleries
from spurion.report.figures import FIGURES
from spurion.report.gallery import gallery_data
from spurion.report.html import prose, render
from spurion.report.sections import SECTIONS

SECTION_IDS = [
    "studied", "answer", "transition", "faces", "points", "alphas", "distances", "classes", "rules",
    "sensitivity",
    "rarefaction", "census", "null", "controls", "flow", "basins", "curvature", "energy", "others", "order",
    "gallery", "training", "limits", "provenance",
]  # fmt: skip


class Reader(HTMLParser):
    """Tags with attributes, table rows, and texts by tag."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.tables = [], [], {}
        self.section = self.open = None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append((tag, values))
        self.open = tag
        if tag == "section":
            self.section = values["id"]
        if tag == "tr":
            self.tables.setdefault(self.section, []).append([])
        if tag in ("td", "th") and self.tables.get(self.section):
            number = values.get("data-value")
            self.tables[self.section][-1].append(None if number is None else float(number))

    def handle_data(self, data):
        self.texts.append((self.open, data))


@pytest.fixture(scope="module")
def reader(page):
    return Reader(page)


def test_all_sections_are_there_in_order(reader):
    assert [values["id"] for tag, values in reader.tags if tag == "section"] == SECTION_IDS
    links = [values["href"] for tag, values in reader.tags if tag == "a"]
    assert links == ["#answer", *(f"#{name}" for name in SECTION_IDS)]


def test_every_figure_has_its_place(reader):
    pictures = [values for tag, values in reader.tags if tag == "img"]
    assert len(pictures) == len(FIGURES) - 1  # the distances of a single audit
    assert all(picture["alt"] and picture["width"] and picture["height"] for picture in pictures)
    captions = "".join(text for _, text in reader.texts)
    assert all(f"figures/{name}.pdf" in captions for name in FIGURES if name != "distances")


def rows(reader, section):
    return {row[0]: row[1:] for row in reader.tables[section] if row[0] is not None}


def test_table_of_points_equals_the_stored_numbers(reader, run):
    table = rows(reader, "points")
    assert list(table) == [2, 16, 90, 128, 256, 1437]
    for point in (point.audit for point in run.done):
        sparse = point.null is None
        assert table[point.train_size] == [
            point.sample_size,
            None,
            *(getattr(point.fractions, name).value for name in CLASSES),
            point.excess.value,
            len(point.listed),
            None if sparse else point.null.share_closer_to_train.value,
            None if sparse else point.null.ct,
            None if sparse else point.null.authpct,
            None if sparse else point.census.attractors,
            None if sparse else point.controls.noisy_copies.value,
            None if sparse else point.controls.held_out.value,
        ]


def test_table_of_points_shows_intervals_and_failures(page, run):
    interval = run.done[2].audit.fractions.spurious
    assert f"{interval.value:.3f}<small>{interval.low:.3f}–{interval.high:.3f}</small>" in page
    assert re.search(
        r'<th scope="row" data-value="90">90</th>\s*<td colspan="13" class="failed">failed: boom', page
    )


def test_mix_bars_are_the_fractions(reader, run):
    bars = [values for tag, values in reader.tags if tag == "rect"]
    assert len(bars) == 3 * len(run.done)
    for i, point in enumerate(run.done):
        shares = [100 * getattr(point.audit.fractions, name).value for name in CLASSES]
        drawn = bars[3 * i : 3 * i + 3]
        assert [bar["class"] for bar in drawn] == list(CLASSES)
        assert [float(bar["width"]) for bar in drawn] == pytest.approx(shares, abs=0.006)
        lefts = [0, shares[0], shares[0] + shares[1]]
        assert [float(bar["x"]) for bar in drawn] == pytest.approx(lefts, abs=0.011)


def test_other_tables_equal_the_stored_numbers(reader, run):
    for point in (point.audit for point in run.done if point.audit.census):
        fields = (point.fractions, point.ratio_fractions, point.holdout_fractions)
        shown = rows(reader, "rules")[point.train_size]
        assert shown == [getattr(field, name).value for field in fields for name in CLASSES]
        at = {one.alpha: one.fractions for one in point.by_alpha}
        shown = rows(reader, "alphas")[point.train_size]
        assert shown == [getattr(at[a], name).value for a in (0.05, 0.01, 0.001) for name in CLASSES]
        found = point.census
        assert rows(reader, "census")[point.train_size] == [
            found.attractors,
            found.memorized,
            found.spurious,
            max(found.shares, default=None),
            found.unseen_mass,
            found.chained_mass,
            found.chao1,
            point.collision_rate,
        ]
    by_alpha, leaks = rows(reader, "alphas"), rows(reader, "null")
    for at in run.study.capacities_by_alpha:
        three = ("memorization", "spurious", "generalization")
        assert by_alpha[at.alpha] == [getattr(at.capacities, name).value for name in three]
    found = run.study.leak_capacities
    assert leaks == {0.9: [found.most.value], 0.5: [found.half.value], 0.0: [found.none.value]}
    training = rows(reader, "training")
    assert training[128] == [16000, 150000, run.done[2].point.training.final_loss, None]


def test_tiles_carry_the_exact_values(page, run):
    capacities = run.study.capacities
    assert f'data-value="{capacities.memorization.value}">K ≈ 33<' in page
    assert f'data-value="{capacities.generalization.value}">K ≈ 241<' in page


def test_hostile_names_are_text(page, reader):
    assert HOSTILE not in page
    assert [values.get("type") for tag, values in reader.tags if tag == "script"] == [
        "application/json",
        None,
    ]
    shown = "".join(text for tag, text in reader.texts if tag == "h1")
    assert HOSTILE in shown
    assert not [values for _, values in reader.tags if any(name.startswith("on") for name in values)]


def test_gallery_data_cannot_end_its_script(run):
    data = gallery_data(run) | {"classes": ["</script><b>"]}
    from jinja2 import Environment

    text = Environment(autoescape=True).from_string("{{ data|tojson }}").render(data=data)
    assert "<" not in text
    assert json.loads(text)["classes"] == ["</script><b>"]


def test_the_page_loads_nothing(page, reader):
    for tag, values in reader.tags:
        for name in ("src", "srcset", "data", "action", "poster"):
            assert values.get(name, "data:").startswith("data:"), (tag, values)
        assert values.get("href", "#").startswith("#"), (tag, values)
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        assert "style" not in values
    assert "@import" not in page
    assert "url(" not in page
    assert not re.search(r"\b(fetch|XMLHttpRequest|importScripts|WebSocket|eval|innerHTML)\b", page)


def test_the_policy_allows_exactly_what_is_inside(page, reader):
    policy = next(values["content"] for tag, values in reader.tags if values.get("http-equiv"))
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed["default-src"] == allowed["base-uri"] == allowed["form-action"] == "'none'"
    assert allowed["img-src"] == "data:"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        text = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert len(text) == 1
        digest = base64.b64encode(hashlib.sha256(text[0].encode()).digest()).decode()
        assert allowed[rule] == f"'sha256-{digest}'"


def test_the_page_fits_a_phone_and_paper(page):
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "@media print" in page
    assert page.count('media="(max-width: 640px)"') == page.count("<img")
    assert 'lang="en-US"' in page


def test_provenance_names_seeds_versions_and_hashes(page):
    for text in ("seed: 7", "iterations: 16000", "2.13.0", "ab" * 32, "cd" * 32):
        assert text in page
    assert ">accelerator<" not in page


def test_words_that_only_the_data_decide(page):
    assert "The sample sizes of this study differ over K" in page
    assert "are those expected among m<sub>0</sub> = 200 samples" in page
    assert "K = 128 it is" in page


def test_duplicates_of_memorized_samples_are_weighed_by_their_number(make_run):
    run = make_run(sizes=(2, 128), samples=100)
    for point, share in zip(run.done, (1.0, 0.0), strict=True):
        change(run, point.train_size, duplicated_memorized=share)
    assert "both hold for 68% of the <b" in render(run, {})  # 100 of 100 and 0 of 47
    run = make_run(sizes=(1024,), samples=100)
    assert "both hold for" not in render(run, {})


def test_equal_sample_sizes_are_said(make_run):
    page = render(make_run(sizes=(16, 128), samples=60), {})
    assert "share is the one expected among m<sub>0</sub> = 60 samples" in page
    assert "differ over K" not in page


def test_a_borrowed_threshold_is_said(make_run):
    assert "does not identify δ<sub>s</sub>" in render(make_run(sizes=(16,), samples=60, rule="valley"), {})


def test_sections_without_data_are_left_out(make_run):
    nothing = make_run(
        sizes=(2, 16), samples=40, failed=(2, 16), changes={"capacities": None, "holdout": None}
    )
    kept = [section.id for section in (make(nothing) for make in SECTIONS) if section]
    assert kept == ["points", "training", "provenance"]
    blind = make_run(sizes=(2, 16), samples=40, blind=(2, 16), held_out=False, changes={"capacities": None})
    kept = [section.id for section in (make(blind) for make in SECTIONS) if section]
    assert kept == ["points", "distances", "classes", "gallery", "training", "limits", "provenance"]
    for run in (nothing, blind):
        shown = [values["id"] for tag, values in Reader(render(run, {})).tags if tag == "section"]
        assert shown[:2] == ["studied", "answer"]


def test_prose_sets_symbols_after_escaping():
    assert prose("<i> δm ≤ δs, C_T & x") == "&lt;i&gt; δ<sub>m</sub> ≤ δ<sub>s</sub>, C<sub>T</sub> &amp; x"
    assert prose("among m0 = 3, not m01") == "among m<sub>0</sub> = 3, not m01"
    assert prose("memorization") == "memorization"
    assert prose("It is memorized.") == 'It is <b class="memorized">memorized</b>.'


def unpack(size, place, column):
    """One image out of the sprite, as the page's script cuts it."""
    data = base64.b64decode(size["sprite"].removeprefix("data:image/png;base64,"))
    sheet = np.asarray(Image.open(io.BytesIO(data)))
    x = ((place % size["columns"]) * 3 + column) * size["width"]
    y = place // size["columns"] * size["height"]
    return sheet[y : y + size["height"], x : x + size["width"]]


def test_gallery_shows_the_stored_images_and_distances(run):
    data = gallery_data(run)
    assert [size["k"] for size in data["sizes"]] == [2, 16, 128, 256, 1437]
    assert data["sizes"][data["start"]]["k"] == 128
    assert data["stored"] == data["shown"] == sum(len(point.gallery) for point in run.done)
    for size, point in zip(data["sizes"], run.done, strict=True):
        gallery, samples = point.gallery, point.samples
        assert (size["delta_m"], size["delta_s"]) == (0.36, 0.36)
        for place, (index, label, olive, train, gray, other) in enumerate(size["items"]):
            assert (index, label) == (gallery.index[place], gallery.label[place])
            assert (train, other) == (samples.nearest_train[index], samples.nearest_sample[index])
            assert olive == pytest.approx(samples.distance_train[index], rel=1e-5)
            assert gray == pytest.approx(samples.distance_sample[index], rel=1e-5)
            for column, images in enumerate((gallery.sample, gallery.train, gallery.other)):
                assert (unpack(size, place, column) == images[place, 0]).all()


def test_gallery_keeps_to_its_budget_evenly(run, monkeypatch):
    point = run.done[2]
    room = 5
    monkeypatch.setattr(galleries, "BUDGET", room * 3 * 3 * 64 * len(run.done))
    data = gallery_data(run)
    items = data["sizes"][2]["items"]
    assert data["shown"] < data["stored"]
    for label in range(3):
        stored = point.gallery.index[point.gallery.label == label]
        shown = [item[0] for item in items if item[1] == label]
        assert len(shown) == min(room, len(stored))
        assert (shown[0], shown[-1]) == (stored[0], stored[-1])
        assert shown == sorted(shown, key=list(stored).index)
    assert f"{data['shown']:,} of the {data['stored']:,} stored samples" in render(run, {})
    monkeypatch.setattr(galleries, "BUDGET", 0)
    assert max(sum(item[1] == 2 for item in size["items"]) for size in gallery_data(run)["sizes"]) == 4


def test_gallery_of_color_images_and_samples_alone(run, make_run):
    alone = make_run(sizes=(16,), samples=40, gallery=3)
    point = alone.done[0]
    for name in ("sample", "train", "other"):
        stored = getattr(point.gallery, name)
        object.__setattr__(point.gallery, name, np.concatenate([stored, stored // 2, 255 - stored], axis=1))
    point.samples.distance_sample[:] = np.nan
    size = gallery_data(alone)["sizes"][0]
    assert (unpack(size, 1, 2) == point.gallery.other[1].transpose(1, 2, 0)).all()
    assert {item[4] for item in size["items"]} == {None}


def test_gallery_without_classes_starts_anywhere(make_run):
    data = gallery_data(make_run(sizes=(2, 16), samples=40, blind=(2, 16)))
    assert data["start"] == 0
    assert {item[1] for size in data["sizes"] for item in size["items"]} == {-1}
