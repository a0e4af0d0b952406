"""The verb `audit`: exit codes, files, redaction, names that are attacks, and files that are damaged."""

import base64
import json
import os
import re

import numpy as np
import pytest
import torch

import spurion
from cli.command_line import refused, run, write_images
from data.corrupt import damage, sound_files
from data.encoded import encode, write_folder, write_zip
from planted import planted
from spurion.data import ImageSet, open_images
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.folder import save_denoiser
from spurion.diffusion.samplers import SamplerConfig
from spurion.diffusion.schedule import DDPMSchedule
from spurion.report.figures import FIGURES

FIXED = "--thresholds=fixed:0.5,0.5"
EVIL = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>.png"
SECRET = "secret-name"


def levels(images):
    return ImageSet(images.clamp(-1, 1)).to_uint8()[:, 0].numpy()


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Planted sets in files."""
    folder = tmp_path_factory.mktemp("given")
    sets = planted(1)
    return {role: write_images(folder / f"{role}.npz", getattr(sets, role).clamp(-1, 1)) for role in ROLES}


ROLES = ("train", "samples", "holdout")


def sources(given, *roles):
    return [f"--{role}={given[role]}" for role in roles or ROLES]


def kinds_of(found, severity):
    """What the claims of one severity are about, of an audit as it is stored."""
    return [claim["kind"] for claim in found["claims"] if claim["severity"] == severity]


def test_an_audit_prints_what_was_planted(given):
    result = run("audit", *sources(given), FIXED)
    assert result.exit_code == 0, result.output
    words = result.stdout.split()
    assert words[words.index("memorized", words.index("class")) :][:2] == ["memorized", "30"]
    assert "Training images that are copied, most often first (" in result.stdout
    assert "of the samples lie closer to the training set than to an equally large set" in result.stdout
    assert "not proof of their absence." in result.stdout
    assert "search samples" in result.stderr


def test_a_folder_gets_the_result_the_evidence_and_a_report(given, tmp_path, monkeypatch):
    monkeypatch.setattr("spurion.report.FIGURES", {"distances": FIGURES["distances"]})
    out = tmp_path / "out"
    result = run("audit", *sources(given), FIXED, "--json", "--out", out)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads((out / "audit.json").read_text())
    names = sorted(path.name for path in out.iterdir())
    assert names == [".seals", "audit.json", "figures", "gallery.npz", "report.html", "samples.csv"]
    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert run("report", out).exit_code == 0
    assert (out / "report.html").read_bytes() == page


@pytest.mark.parametrize(
    ("condition", "code", "more"),
    [
        ("memorized > 0.9", 0, ("--transforms", "all")),  # a pass needs them
        ("memorized > 0.01", 1, ()),
        ("memorized > 0.43", 3, ()),
        ("generalized < 0.1", 0, ("--transforms", "all")),
        ("closer_to_train > 0.3", 1, ()),
    ],
)
def test_exit_codes_of_the_gate(condition, code, more, given):
    result = run("audit", *sources(given), FIXED, "--fail-if", condition, *more)
    assert result.exit_code == code, result.output
    assert condition in result.stdout


def test_without_a_threshold_the_gate_is_inconclusive(tmp_path):
    random = torch.Generator().manual_seed(0)
    paths = [
        write_images(tmp_path / f"{name}.npz", torch.rand(40, 1, 8, 8, generator=random)) for name in "ab"
    ]
    result = run("audit", "--train", paths[0], "--samples", paths[1], "--fail-if", "memorized > 0.5")
    assert result.exit_code == 3
    assert "not identifiable" in result.stdout


def test_a_valley_describes_and_decides_nothing(given):
    arguments = ("audit", *sources(given, "train", "samples"), "--thresholds", "valley")
    sentence = refused(*arguments, "--fail-if", "memorized > 0.01")
    assert "a valley of the histogram describes these samples" in sentence
    assert run(*arguments).exit_code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--thresholds=magic"], "magic"),
        (["--thresholds=holdout:0.1"], "held-out"),
        (["--fail-if=memorized"], "must look like"),
        (["--fail-if=copies > 0.1"], "copies"),
        (["--distance=l7"], "l7"),
        (["--transforms=turn"], "turn"),
        (["--distance=features"], "weights"),
        (["--generate=9"], "not both"),
        (["--geometry=9"], "need a `model`"),
        (["--model=no/model", "--geometry=9"], "no/model"),
        (["--holdout=no/such/thing"], "no/such/thing"),
        (["--resize=0"], "resize"),
        (["--steps=0"], "steps"),
    ],
)
def test_bad_input_is_one_sentence(options, words, given, tmp_path):
    out = tmp_path / "out"
    assert words in refused("audit", *sources(given, "train", "samples"), *options, "--out", out)
    assert not out.exists()


def test_sizes_that_differ_are_refused_unless_resized(given, tmp_path):
    large = write_images(tmp_path / "large.npz", torch.zeros(3, 1, 9, 9))
    arguments = ("audit", "--train", given["train"], "--samples", large, FIXED, "--json")
    assert "shape" in refused(*arguments)
    found = json.loads(run(*arguments, "--resize", 4).stdout)
    assert found["inputs"]["resize"] == 4
    assert found["inputs"]["train"]["shape"] == [1, 4, 4]


def test_a_range_is_declared_for_arrays_that_do_not_say_theirs(given, tmp_path):
    sets = planted(1)
    np.savez(tmp_path / "floats.npz", images=(ImageSet(sets.train.clamp(-1, 1)).images.numpy() + 1) / 2)
    arguments = ("audit", "--train", tmp_path / "floats.npz", "--samples", given["samples"], FIXED, "--json")
    assert "with `value_range`, such as -1,1 or 0,1" in refused(*arguments)
    found = json.loads(run(*arguments, "--value-range", "train=0,1").stdout)
    assert (found["inputs"]["value_range"], found["counts"]) == ({"train": [0, 1]}, [30, 15, 25])
    both = ("--value-range", "train=0,1", "--value-range", "samples=-1,1")
    assert json.loads(run(*arguments, *both).stdout)["counts"] == [30, 15, 25]
    assert "for all sets or for each" in refused(*arguments, "--value-range", "0,1")
    wide = json.loads(run(*arguments, "--value-range", "-1,3").stdout)
    assert wide["inputs"]["train"]["sha256"] != found["inputs"]["train"]["sha256"]
    assert wide["inputs"]["value_range"] == [-1, 3]
    assert "must look like 0,1 or samples=0,1, got 0;1" in refused(*arguments, "--value-range", "0;1")
    mixed = ("--value-range", "0,1", "--value-range", "train=0,1")
    assert "one range for all sets, or SET=A,B for every one" in refused(*arguments, *mixed)
    assert "declared for train, samples, holdout" in refused(*arguments, "--value-range", "test=0,1")
    digits = ("--train", "digits", "--samples", "digits:holdout")
    assert "there is none" in refused("audit", *digits, "--value-range", "0,1")


def test_copies_in_another_range_are_found_once_it_is_declared(tmp_path):
    """Undeclared they are near to nothing, which must not pass; and no advice leads to a refusal."""
    chosen = torch.randint(1438, (400,), generator=torch.Generator().manual_seed(0))
    levels = open_images("digits").to_uint8()[chosen].numpy().astype(np.float32)
    gate = ("--fail-if", "memorized > 0.02", "--json")
    for name, scale, ends in (("unit", 255, "0,1"), ("bytes", 1, "0,255")):
        path = tmp_path / f"{name}.npz"
        np.savez(path, samples=levels / scale)
        arguments = ("audit", "--train=digits", "--holdout=digits:holdout", "--samples", path, *gate)
        found = run(*arguments, "--value-range", ends)
        assert (found.exit_code, json.loads(found.stdout)["counts"]) == (1, [400, 0, 0])
        if name == "unit":
            silent = run(*arguments)
            assert silent.exit_code == 3
            assert kinds_of(json.loads(silent.stdout), "warning") == ["other_range"]
        else:
            assert "give the true range as `value_range`" in refused(*arguments)


def test_what_is_sampled_without_clipping_can_be_audited(tmp_path):
    patterns = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    save_denoiser(ExactDenoiser(1.3 * patterns, DDPMSchedule()), tmp_path / "model")
    drawing = ("--count=40", "--steps=6", "--no-clip")
    assert run("sample", tmp_path / "model", *drawing, "--out", tmp_path / "a.npz").exit_code == 0
    samples = np.load(tmp_path / "a.npz")["samples"]
    beyond = int((abs(samples).max(axis=(1, 2, 3)) > 1).sum())
    assert beyond > 9
    train = write_images(tmp_path / "train.npz", patterns)
    told = f"{beyond} of the 40 samples reached beyond their range and were clipped."
    shared = ("--train", train, "--samples", tmp_path / "a.npz", FIXED)
    assert told in run("audit", *shared).stdout
    for options, warned in ([], False), (["--value-range=samples=-0.9,0.9", "--clip"], True):
        found = json.loads(run("audit", *shared, *options, "--json").stdout)
        assert ("clipped" in kinds_of(found, "warning")) is warned
    low, high = float(samples.min()), float(samples.max())
    assert "clipped" not in run("audit", *shared, "--value-range", f"samples={low},{high}").stdout
    note = f"Note: {beyond} of the 40 images of a reached beyond their range and were clipped.\n"
    assert note.replace("images of a", "samples") in run("classify", *shared).stdout
    pair = ("--queries", tmp_path / "a.npz", "--reference", train)
    assert note in run("neighbors", *pair).stderr
    np.savez(tmp_path / "others.npz", samples=samples)
    pair = ("--queries", tmp_path / "others.npz", "--reference", train)
    assert "or `clip` what lies outside" in refused("neighbors", *pair)
    assert "40 images of others reached beyond" in run("neighbors", *pair, "--clip").stderr
    drawn = spurion.audit(
        train, model=tmp_path / "model", generate=40, sampler=SamplerConfig(steps=6, clip=False),
        thresholds="fixed:0.1,0.1",
    )  # fmt: skip
    assert told in drawn.notes
    assert "clipped" not in [claim.kind for claim in drawn.claims]


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    """Sets whose folders and files have names to be kept secret."""
    root = tmp_path_factory.mktemp("hidden")
    sets = planted(3)
    folders = {}
    for role in ROLES:
        files = {f"{SECRET} {role} {i}.png": encode(x) for i, x in enumerate(levels(getattr(sets, role)))}
        folders[role] = write_folder(root / f"{SECRET}-{role}", files)
    mixed = encode(levels(sets.train)[0])
    (folders["holdout"] / f"{SECRET} twin.png").write_bytes(mixed)
    return folders, sets


def every_byte(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_redaction_leaves_no_name_path_or_pixel_anywhere(secret, tmp_path):
    folders, sets = secret
    out = tmp_path / "out"
    result = run(
        *("audit", *sources(folders), FIXED, "--redact", "--out", out, "--fail-if", "memorized > 0.01")
    )
    assert result.exit_code == 1
    written = every_byte(out)
    assert {path.name for path in written} >= {"audit.json", "report.html", "distances.png"}
    assert not {"samples.csv", "gallery.npz"} & {path.name for path in written}
    words = [SECRET, str(tmp_path), "hidden", "twin"]
    images = [getattr(sets, role) for role in ROLES]
    pixels = [level.tobytes() for group in images for level in levels(group)]
    floats = [image.numpy().tobytes() for group in images for image in group]
    for content in [*written.values(), result.stdout.encode()]:
        texts = [content, *map(base64.b64decode, re.findall(rb"base64,([A-Za-z0-9+/=]+)", content))]
        for text in texts:
            assert not [word for word in words if word.encode() in text]
            assert not any(pixel in text for pixel in (*pixels, *floats))
    assert b"data:image/png" not in (out / "report.html").read_bytes()
    found = json.loads((out / "audit.json").read_text())
    assert found["redacted"] is True
    assert {image["name"] for image in found["exposure"]} == {None}
    assert found["counts"] == [30, 15, 25]
    assert "holdout_in_train" in kinds_of(found, "warning")


def test_the_same_audit_unredacted_has_what_redaction_takes_away(secret, tmp_path, words_only):
    folders, _ = secret
    run("audit", *sources(folders), FIXED, "--out", tmp_path)
    found = json.loads((tmp_path / "audit.json").read_text())
    assert all(image["name"].startswith(SECRET) for image in found["exposure"])
    assert found["inputs"]["train"]["name"] == f"{SECRET}-train"
    assert SECRET in (tmp_path / "report.html").read_text()
    assert f"{SECRET} twin.png" in str(found["claims"])


def test_names_that_are_attacks_do_no_harm(tmp_path, words_only):
    files = {f"{i}{EVIL.replace('/', '')}": encode(x) for i, x in enumerate(levels(planted(1).train))}
    root = tmp_path / EVIL.replace("/", "")
    folder = write_folder(root, files)
    path = write_images(tmp_path / "samples.npz", planted(1).samples.clamp(-1, 1))
    out = tmp_path / "out"
    result = run("audit", "--train", folder, "--samples", path, FIXED, "--out", out)
    assert result.exit_code == 0, result.output
    page = (out / "report.html").read_text()
    assert "<script>document" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;document" in page


SOUND = sound_files()
SEEDS = 150


def test_damaged_images_and_archives_never_end_in_a_crash(tmp_path, monkeypatch):
    """Every one ends in a result or in one sentence, and nothing is written but into the output folder."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    good = write_images(tmp_path / "good.npz", np.zeros((4, 3, 8, 8)))
    names, codes = sorted(SOUND), set()
    for seed in range(SEEDS):
        name = names[seed % len(names)]
        data = damage(SOUND[name], np.random.default_rng(seed))
        if name.endswith((".zip", ".npz", ".npy")):
            source = tmp_path / name
            source.write_bytes(data)
        else:
            source = tmp_path / f"folder {seed}"
            write_folder(source, {f"a{name}": data, f"b{name}": SOUND[name]})
        role = ("train", "samples", "holdout")[seed % 3]
        others = [f"--{one}={source if seed % 2 else good}" for one in ("train", "samples") if one != role]
        before = sorted(os.listdir(tmp_path))
        result = run("audit", f"--{role}={source}", *others, FIXED)
        codes.add(result.exit_code)
        assert result.exit_code in (0, 2), (seed, name, result.output)
        assert "Traceback" not in result.output
        assert result.exit_code == 0 or result.stderr.strip().splitlines()[-1].startswith("spurion audit: ")
        assert sorted(os.listdir(tmp_path)) == before
        assert os.listdir(work) == []
    assert codes == {0, 2}


def test_archives_that_reach_out_write_nothing(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"../b.png": SOUND["gray.png"]})
    out = tmp_path / "out"
    assert "outside the archive" in refused("audit", "--train", path, "--samples", path, "--out", out)
    assert sorted(os.listdir(tmp_path)) == ["a.zip"]
