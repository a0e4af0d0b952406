"""Whole audits: what was planted must come back exactly, through every container and under two distances."""

import json
from importlib.resources import files

import jsonschema
import numpy as np
import pytest
import torch

import spurion
from data.encoded import encode, write_folder, write_zip
from planted import planted
from spurion import audit
from spurion.audits.claims import of_kind
from spurion.audits.histograms import histograms
from spurion.audits.measurement import measure
from spurion.audits.metrics import missed
from spurion.audits.results import AuditResult, audit_schema
from spurion.core.random import derive_seed
from spurion.data import ImageSet, nested_order, open_images
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.folder import folder_hash, save_denoiser
from spurion.diffusion.samplers import SamplerConfig
from spurion.diffusion.schedule import DDPMSchedule
from spurion.neighbors import Features
from spurion.phases.thresholds import fixed
from spurion.report import write_report

FIXED = "fixed:0.5,0.5"


def eight_bit(images):
    """Gray levels of images (n, C, H, W) in [-1, 1], with shape (n, H, W)."""
    return ImageSet(images.clamp(-1, 1)).to_uint8()[:, 0].numpy()


@pytest.fixture(scope="module")
def sets():
    """Planted sets at 256 gray levels, with training images 3 and 7 there twice more and once more."""
    found = planted(1)
    train = torch.cat([found.train, found.train[[3, 3, 7]]])
    return {
        "train": eight_bit(train),
        "samples": eight_bit(found.samples),
        "holdout": eight_bit(found.holdout),
    }, found


def in_folder(root, levels):
    return write_folder(root, {f"class {i % 3}/{i}.png": encode(image) for i, image in enumerate(levels)})


def in_zip(root, levels):
    root.parent.mkdir(parents=True, exist_ok=True)
    return write_zip(root.with_suffix(".zip"), {f"{i}.png": encode(image) for i, image in enumerate(levels)})


def in_npz(root, levels):
    root.parent.mkdir(parents=True, exist_ok=True)
    np.savez(root.with_suffix(".npz"), arr_0=levels[..., None])
    return root.with_suffix(".npz")


def in_tensor(_, levels):
    return ImageSet.from_uint8(torch.from_numpy(levels)[:, None]).images


def order_in_folder(count):
    """Which planted image is the i-th of the folder: by class, then by number."""
    return sorted(range(count), key=lambda i: (i % 3, i))


def flat(images):
    """Pixels as vectors, so that feature distance is l2 by other means."""
    return images.flatten(1)


@pytest.mark.parametrize("distance", ["l2", Features(flat, "pixels")], ids=["l2", "features"])
@pytest.mark.parametrize("container", [in_folder, in_zip, in_npz, in_tensor])
def test_what_was_planted_comes_back_through_every_container(container, distance, sets, tmp_path):
    levels, truth = sets
    given = {role: container(tmp_path / role, values) for role, values in levels.items()}
    found = audit(**given, thresholds=FIXED, distance=distance, out=tmp_path / "out")
    train_order, sample_order = (
        order_in_folder(len(levels[role])) if container is in_folder else range(len(levels[role]))
        for role in ("train", "samples")
    )
    place = {image: at for at, image in enumerate(train_order)}
    assert found.counts == (30, 15, 25)
    groups = [[place[i] for i in group] for group in ((3, 20, 21), (7, 22))]
    assert found.train_duplicates == tuple(sorted(tuple(sorted(group)) for group in groups))
    first = {index: min(group) for group in groups for index in group}
    sources = torch.bincount(truth.source[truth.labels == 0], minlength=20).tolist()
    expected = {first.get(place[i], place[i]): count for i, count in enumerate(sources) if count}
    assert {image.train_index: image.count for image in found.exposure} == expected
    counts = [image.count for image in found.exposure]
    assert counts == sorted(counts, reverse=True)
    rows = (tmp_path / "out" / "samples.csv").read_text().splitlines()[1:]
    labels = [["memorized", "spurious", "generalized"].index(row.split(",")[1]) for row in rows]
    assert labels == [int(truth.labels[i]) for i in sample_order]
    assert found.census.spurious == 3
    assert found.said("warning") == []


def test_every_container_has_the_same_hash(sets, tmp_path):
    levels, _ = sets
    found = []
    for container in (in_zip, in_npz, in_tensor):
        given = {
            role: container(tmp_path / container.__name__ / role, levels[role])
            for role in ("train", "samples")
        }
        found.append(audit(**given, thresholds=FIXED))
    hashes = {(one.inputs.train.sha256, one.inputs.samples.sha256) for one in found}
    assert len(hashes) == 1
    plain = [one.model_copy(update={"inputs": found[0].inputs, "exposure": ()}) for one in found]
    assert plain[0] == plain[1] == plain[2]


def test_the_stored_audit_follows_the_packaged_schema(sets, tmp_path):
    levels, _ = sets
    result = audit(**{role: in_tensor(None, values) for role, values in levels.items()}, out=tmp_path)
    schema = audit_schema()
    packaged = json.loads((files("spurion.audits") / "audit.schema.json").read_text())
    assert packaged == schema
    stored = json.loads((tmp_path / "audit.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(stored)
    assert AuditResult.model_validate(stored) == result
    assert next(iter(stored)) == "schema"
    assert stored["schema"] == "spurion.audit/2"
    needed = "inputs distance thresholds fractions ratio_fractions null exposure train_duplicates census"
    needed += " rarefaction metrics power verdict claims"
    assert set(needed.split()) <= set(stored)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".seals", "audit.json", "gallery.npz", "samples.csv"]


def test_metrics_and_the_ratio_rule_see_past_duplicates(sets):
    """Each image twice: a near copy has two equally near images; only a corrected rule calls it a copy."""
    _, truth = sets
    found = audit(truth.train.repeat(2, 1, 1, 1), truth.samples, thresholds=FIXED)
    assert found.ratio_fractions.memorized.value == pytest.approx(30 / 70)
    (ratio,) = [metric for metric in found.metrics if metric.name.startswith("nearest-neighbor ratio")]
    assert ratio.value == pytest.approx(30 / 70)
    assert len(found.metrics) == 6
    assert all(metric.source for metric in found.metrics)


def test_near_duplicates_that_share_the_copies_of_a_picture_are_named(tmp_path, words_only):
    """Image 3 is there again, a little changed, and some samples are nearer to that."""
    truth = planted(1)
    twin = truth.train[3:4] + 0.002 * torch.randn(1, 1, 4, 6, generator=torch.Generator().manual_seed(0))
    train = torch.cat([truth.train, twin])
    copies = torch.cat([train[3:4].repeat(3, 1, 1, 1), train[20:].repeat(2, 1, 1, 1), train[5:6]])
    samples = torch.cat([copies, truth.samples[truth.labels == 2]])
    found = audit(train, samples, thresholds=FIXED, out=tmp_path)
    ranked = [(image.train_index, image.count, image.like) for image in found.exposure]
    assert ranked == [(3, 3, None), (20, 2, 3), (5, 1, None)]
    assert found.pictures == 2
    page = write_report(tmp_path).read_text()
    assert "1 of these images lie within" in page
    assert "like number" in page
    assert "copies of 3 training images, 2 of them unlike each other" in page
    apart = audit(train, samples, thresholds="fixed:0.001,0.001")
    assert {image.like for image in apart.exposure} == {None}


def test_too_few_images_decide_nothing():
    random = torch.Generator().manual_seed(0)
    train, samples = (torch.rand(n, 1, 8, 8, generator=random) * 2 - 1 for n in (59, 300))
    found = audit(train, samples, fail_if="memorized > 0.01")
    assert found.thresholds.rule == "null:0.01"
    assert (found.fractions, found.exposure, found.census) == (None, (), None)
    assert found.verdict.outcome == "inconclusive"
    assert any("not identifiable" in sentence for sentence in found.said("limit"))


def test_a_valley_decides_nothing(sets):
    _, truth = sets
    sentence = r"`fail_if` cannot be decided by `thresholds=valley`: .*; use null:0\.01\."
    with pytest.raises(ValueError, match=sentence):
        audit(truth.train, truth.samples, thresholds="valley", fail_if="memorized > 0.01")
    assert audit(truth.train, truth.samples, thresholds="valley").thresholds.rule == "valley"


@pytest.mark.parametrize(
    ("condition", "outcome"),
    [
        ("memorized > 0.01", "fail"),
        ("memorized > 0.9", "pass"),
        ("memorized > 0.43", "inconclusive"),
        ("closer_to_train > 0.3", "fail"),
    ],
)
def test_the_gate_decides_on_the_interval(condition, outcome, sets):
    _, truth = sets
    sets = (truth.train, truth.samples, truth.holdout)
    transforms = "all" if outcome == "pass" else None  # a pass needs them
    found = audit(*sets, thresholds=FIXED, fail_if=condition, transforms=transforms)
    assert found.verdict.outcome == outcome
    assert found.verdict.expression == condition


@pytest.mark.parametrize("count", [2, 5, 20, 29])
def test_few_clean_samples_are_inconclusive_never_pass(count):
    random = torch.Generator().manual_seed(count)
    train, samples = (torch.rand(n, 1, 4, 6, generator=random) * 1.8 - 0.9 for n in (50, count))
    for condition in ("memorized > 0.01", "memorized > 0.99"):
        found = audit(train, samples, thresholds=FIXED, fail_if=condition)
        assert found.counts[0] == 0
        assert found.verdict.outcome == "inconclusive"


def test_overlaps_are_recorded_with_the_names_of_the_images(sets, tmp_path):
    levels, _ = sets
    train = in_folder(tmp_path / "train", levels["train"])
    mixed = np.concatenate([levels["holdout"][:5], levels["train"][:1]])
    holdout = write_folder(tmp_path / "h", {f"image {i}.png": encode(image) for i, image in enumerate(mixed)})
    found = audit(train, in_tensor(None, levels["samples"]), holdout, thresholds=FIXED)
    (warning,) = of_kind(found.claims, "holdout_in_train")
    assert warning.sentence.endswith(": image 5.png.")
    same = audit(train, train, thresholds=FIXED)
    assert "samples_are_train" in [one.kind for one in same.claims if one.severity == "warning"]


def test_power_follows_the_rule():
    assert missed(100, fixed(0.1, 0.1), 50).false_positive_rate is None
    found = audit(planted().train, planted().samples, planted(train=200).holdout)
    assert found.thresholds.rule == "null:0.01"
    assert (found.power.false_positive_rate, found.power.samples) == (0.01, 70)
    assert found.power.detectable_excess is not None


def test_histograms_hold_every_distance():
    sets = planted()
    samples = torch.cat([sets.samples, sets.train[:2]])
    measurement = measure(sets.train, samples, sets.holdout)
    found = histograms(measurement)
    assert (sum(found.train), sum(found.samples), sum(found.holdout)) == (72, 72, 20)
    assert found.train[0] >= 2
    expected, _ = np.histogram(measurement.distance_train[measurement.distance_train > 0], found.edges)
    assert (np.array(found.train) - expected).tolist() == [2] + [0] * 59
    assert list(found.edges) == sorted(found.edges)
    assert histograms(measure(sets.train, sets.samples)).holdout is None
    equal = torch.zeros(3, 1, 2, 2)
    assert histograms(measure(equal, equal)).train[0] == 3


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that knows 5 images and nothing else."""
    train = planted(2, train=5).train
    denoiser = ExactDenoiser(train, DDPMSchedule(50))
    folder = tmp_path_factory.mktemp("run")
    save_denoiser(denoiser, folder / "model")
    return folder, train


def test_a_model_is_sampled_and_its_geometry_measured(model, tmp_path, words_only):
    folder, train = model
    how = {"sampler": SamplerConfig(steps=10), "thresholds": FIXED, "seed": 3}
    found = audit(train, model=folder, generate=40, geometry=6, out=tmp_path / "a", **how)
    assert found.counts == (40, 0, 0)
    assert (found.model.name, found.model.sha256) == (folder.name, folder_hash(folder / "model"))
    assert (found.model.seed, found.model.sampler["steps"]) == (3, 10)
    assert found.geometry.tolerance == 0.5
    assert found.geometry.groups["memorized"].measured == 6
    assert found.curvature.train_size == 5
    again = audit(train, samples=tmp_path / "a" / "samples.npz", thresholds=FIXED, seed=3)
    assert again.fractions == found.fractions
    assert again.exposure == found.exposure
    assert again.model is None
    given = audit(train, tmp_path / "a" / "samples.npz", model=folder, geometry=6, thresholds=FIXED, seed=3)
    assert (given.model.sampler, given.model.sha256) == (None, found.model.sha256)
    assert given.geometry == found.geometry
    page = write_report(tmp_path / "a").read_text()
    section = page[page.index('<section id="geometry">') : page.index('<section id="methods">')]
    assert all(measure.name in section for measure in found.geometry.measures)
    assert "DDPM, 10 steps, clipped" in page
    assert found.model.sha256 in page


def test_a_folder_that_is_just_called_model_has_the_name_above_it_too(model):
    folder, train = model
    how = {"generate": 2, "sampler": SamplerConfig(steps=2), "thresholds": FIXED}
    found = audit(train, model=folder / "model", **how)
    assert found.model.name == f"{folder.name}/model"
    hidden = audit(train, model=folder / "model", redact=True, **how)
    assert (hidden.model.name, hidden.model.sha256) == ("model", found.model.sha256)


def test_geometry_that_fails_is_a_note(model, monkeypatch):
    folder, train = model

    def broken(*_, **__):
        raise RuntimeError("no gradient\nhere")

    monkeypatch.setattr("spurion.audits.door.model_geometry", broken)
    found = audit(train, planted().samples, model=folder, geometry=6, thresholds=FIXED)
    assert found.geometry is None
    assert found.notes[-1] == "The geometry was not measured: no gradient here"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either `samples` or `model` with `generate`"),
        ({"samples": True, "generate": 4}, "either `samples` or `model`"),
        ({"generate": 4}, "need a `model`"),
        ({"samples": True, "geometry": 8}, "need a `model`"),
        ({"model": "m", "generate": 1}, "`generate` must be at least 2, got 1"),
        ({"samples": True, "model": "m"}, "`model` needs `generate`"),
        ({"samples": True, "model": "m", "geometry": 5}, "at least 6 points of each class, got 5"),
        ({"model": "no such model", "generate": 4}, "no model folder"),
        ({"samples": True, "thresholds": "holdout:0.1"}, "needs held-out images"),
        ({"samples": True, "thresholds": "magic"}, "threshold rule must be"),
        ({"samples": True, "fail_if": "copies > 0.1"}, "copies.*memorized, spurious"),
        ({"samples": True, "fail_if": "memorized"}, "must look like"),
        ({"samples": True, "distance": "l7"}, "l7"),
        ({"samples": True, "transforms": "turn"}, "`transforms` must be `all` or names among"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    sets = planted()
    if options.get("samples"):
        options = {**options, "samples": sets.samples}
    with pytest.raises(ValueError, match=message):
        audit(sets.train, **options)


def test_folders_of_others_are_refused(tmp_path):
    sets = planted()
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(ValueError, match="must not be the folder of a study"):
        audit(sets.train, sets.samples, thresholds=FIXED, out=tmp_path)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_damaged_audit_is_refused_and_not_overwritten(tmp_path):
    sets = planted()
    audit(sets.train, sets.samples, thresholds=FIXED, out=tmp_path)
    path = tmp_path / "audit.json"
    path.write_text(path.read_text().replace("0.", "1.", 1))
    kept = contents(tmp_path)
    with pytest.raises(ValueError, match=r"audit\.json is damaged .*; delete it to audit again"):
        audit(sets.train, sets.samples, thresholds=FIXED, out=tmp_path)
    assert contents(tmp_path) == kept
    path.unlink()
    audit(sets.train, sets.samples, thresholds=FIXED, out=tmp_path)


def test_a_folder_is_for_one_training_set_one_set_of_samples_and_one_held_out_set(tmp_path):
    sets, more = planted(), planted(5)
    out = tmp_path / "out"
    for _ in range(2):
        first = audit(sets.train, sets.samples, thresholds=FIXED, out=out)
    kept = contents(out)
    for other, message in (
        ((more.train, sets.samples), "holds an audit of other training images; choose another folder"),
        ((sets.train, more.samples), "holds an audit of other samples; choose"),
        ((sets.train, sets.samples, sets.holdout), "holds an audit of other held-out images"),
    ):
        with pytest.raises(ValueError, match=message):
            audit(*other, thresholds=FIXED, out=out)
    assert contents(out) == kept
    (out / "report.html").write_text("old")
    second = audit(sets.train, sets.samples, thresholds="fixed:0.1,0.1", out=out)
    assert AuditResult.model_validate_json((out / "audit.json").read_text()) == second != first
    assert not (out / "report.html").exists()
    (out / "audit.json").write_text("[]")
    with pytest.raises(ValueError, match="holds an audit of other training images"):
        audit(sets.train, sets.samples, thresholds=FIXED, out=out)


def test_an_audit_that_is_killed_leaves_no_mark_of_a_whole_one(tmp_path, monkeypatch):
    sets = planted()
    audit(sets.train, sets.samples, thresholds=FIXED, out=tmp_path)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("spurion.audits.folder.write_gallery", killed)
        audit(sets.train, sets.samples, thresholds="fixed:0.1,0.1", out=tmp_path)
    assert not (tmp_path / "audit.json").exists()
    found = audit(sets.train, sets.samples, thresholds="fixed:0.1,0.1", out=tmp_path)
    assert AuditResult.model_validate_json((tmp_path / "audit.json").read_text()) == found


def test_drawn_samples_never_lie_beside_an_audit_of_others(model, tmp_path):
    folder, train = model
    draw = {"model": folder, "generate": 12, "sampler": SamplerConfig(steps=4), "thresholds": FIXED}
    given = planted(2).samples[:12]
    audit(train, **draw, out=tmp_path / "drawn")
    drawn = tmp_path / "drawn" / "samples.npz"
    with pytest.raises(ValueError, match="holds an audit of other samples"):
        audit(train, given, thresholds=FIXED, out=tmp_path / "drawn")
    assert audit(train, drawn, thresholds=FIXED, out=tmp_path / "drawn").model is None
    with pytest.raises(ValueError, match="holds an audit of samples that were given"):
        audit(train, **draw, out=tmp_path / "drawn")
    (tmp_path / "drawn" / "audit.json").unlink()
    with pytest.raises(ValueError, match="holds samples of an audit that was not finished; run that one"):
        audit(train, given, thresholds=FIXED, out=tmp_path / "drawn")
    assert audit(train, **draw, out=tmp_path / "drawn").model.sampler["steps"] == 4


def test_redacted_results_never_lie_beside_open_ones(tmp_path):
    sets = planted()
    how = {"thresholds": FIXED, "out": tmp_path}
    audit(sets.train, sets.samples, **how)
    with pytest.raises(ValueError, match=r"not redacted \(samples\.csv, gallery\.npz\)"):
        audit(sets.train, sets.samples, redact=True, **how)
    for name in ("samples.csv", "gallery.npz"):
        (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=r"not redacted \(audit\.json\)"):
        audit(sets.train, sets.samples, redact=True, **how)
    (tmp_path / "audit.json").unlink()
    for _ in range(2):
        audit(sets.train, sets.samples, redact=True, **how)
    assert contents(tmp_path).keys() == {tmp_path / "audit.json", tmp_path / ".seals" / "audit.json"}


def test_redacted_weights_keep_their_hash_alone(sets):
    _, truth = sets
    for source, shown in (("secret.npz (sha256 0123abcd)", "sha256 0123abcd"), ("secret", "not named here")):
        found = audit(
            truth.train, truth.samples, thresholds=FIXED, distance=Features(flat, source), redact=True
        )
        assert found.distance.weights == shown
        assert "secret" not in found.model_dump_json()


def test_an_audit_of_a_study_s_model_says_what_the_study_says(tmp_path):
    """From the same samples, and from samples that the audit draws of the model with the same seed."""
    small = ("train_sizes=[6]", "training.iterations=20", "training.warmup=2", "sampler.steps=4")
    small = (*small, "sample_size=40", "gallery=2", f"thresholds='{FIXED}'", "geometry=null", "flow=null")
    (point,) = spurion.study("digits", out=tmp_path / "run", overrides=list(small), workers=1).points
    point = point.audit
    pool = open_images("digits")
    train, holdout = pool.subset(nested_order(len(pool), 0)[:6]), open_images("digits:holdout")
    folder = tmp_path / "run" / "points" / "000006"
    given = audit(train, folder / "samples.npz", holdout, thresholds=FIXED)
    seed = derive_seed(derive_seed(0, "point", 6), "sample")
    sampler = SamplerConfig.model_validate(point.sampler)
    drawn = audit(
        train, holdout=holdout, model=folder, generate=40, sampler=sampler, thresholds=FIXED, seed=seed
    )
    assert drawn.inputs.samples.sha256 == given.inputs.samples.sha256
    for found in (given, drawn):
        assert found.counts == point.counts
        assert found.rarefaction == point.rarefaction
        assert found.census == point.census
        values = [
            [getattr(one.fractions, name).value for name in ("memorized", "spurious", "generalized")]
            for one in (found, point)
        ]
        assert values[0] == values[1]
