"""Files of shift-tolerant weights: found, checked, read; what is missing or wrong is one sentence."""

import dataclasses
import hashlib
import sys

import pytest
import torch
from safetensors.torch import save_file

from spurion.neighbors import load_distance
from spurion.neighbors.lpips import packaged
from spurion.neighbors.lpips.packaged import find_packaged, load_packaged
from spurion.neighbors.lpips.shift_tolerant import SHIFT_TOLERANT

NAME = "alex_shift_tolerant"


def published_state():
    """A state with the names of the published file."""
    weights = load_packaged("alex", "random:5")
    state = {f"net.slice{1 + len(name) % 5}.{name}": value for name, value in weights.features.items()}
    state |= {f"lin{i}.model.1.weight": w[None, :, None, None] for i, w in enumerate(weights.linear)}
    row = torch.tensor([0.25, 0.5, 0.25])
    state |= {"net.slice1.1.filt": row.outer(row).repeat(64, 1, 1, 1), "scaling_layer.shift": torch.zeros(3)}
    return state


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that cannot be imported and carries a file which counts as the published one."""
    file = tmp_path / "packages" / "carrier" / "weights" / f"{NAME}.pth"
    file.parent.mkdir(parents=True)
    (file.parents[1] / "__init__.py").write_text("raise ImportError('imported')")
    torch.save(published_state(), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setitem(SHIFT_TOLERANT, "alex", dataclasses.replace(SHIFT_TOLERANT["alex"], sha256=digest))
    monkeypatch.setattr(packaged, "PACKAGE", "carrier")
    monkeypatch.setattr(packaged, "FOLDER", "weights")
    monkeypatch.syspath_prepend(tmp_path / "packages")
    return file


def test_the_package_is_read_and_not_imported(package):
    found, random = load_packaged("alex"), load_packaged("alex", "random:5")
    assert "carrier" not in sys.modules
    assert found.mark == ""
    assert found.source == f"{NAME}.pth (sha256 {SHIFT_TOLERANT['alex'].sha256[:16]})"
    assert found.features.keys() == random.features.keys()
    assert all(torch.equal(found.features[name], random.features[name]) for name in random.features)
    assert all(torch.equal(a, b) for a, b in zip(found.linear, random.linear, strict=True))
    for place in (package, package.parent):
        assert find_packaged("alex", str(place)) == package


def test_random_weights_are_marked_and_follow_the_seed():
    distance = load_distance("st-lpips-alex", "random:3")
    assert distance.info.name == "st-lpips-alex (random weights, seed 3)"
    assert distance.info.weights == "random:3"
    first, other = (load_packaged("alex", f"random:{seed}") for seed in (3, 4))
    assert not torch.equal(first.features["0.weight"], other.features["0.weight"])
    with pytest.raises(ValueError, match="Random weights are asked for as `random:SEED`"):
        load_packaged("alex", "random")


def test_missing_files_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setattr(packaged, "PACKAGE", "absent_package")
    sentence = rf"needs the weights {NAME}\.pth .*pip install 'spurion\[st-lpips\]', or .*`--weights`"
    with pytest.raises(ValueError, match=sentence):
        load_distance("st-lpips-alex").embed(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match=r"There is no file .*absent; give `--weights` a folder with alex"):
        find_packaged("alex", str(tmp_path / "absent"))
    with pytest.raises(ValueError, match=rf"There is no file .*{NAME}\.pth; give `--weights` a folder with"):
        find_packaged("alex", str(tmp_path))
    (tmp_path / "weights.bin").touch()
    with pytest.raises(ValueError, match=r"weights\.bin must be a \.pth or \.safetensors file"):
        find_packaged("alex", str(tmp_path / "weights.bin"))


def test_a_damaged_file(package):
    content = package.read_bytes()
    package.write_bytes(content[:-1] + b"x")
    with pytest.raises(ValueError, match=r"is damaged or not the published file: its SHA-256 begins with"):
        load_packaged("alex", str(package))


def test_own_weights_are_marked_and_checked(tmp_path):
    state, file = published_state(), tmp_path / f"{NAME}.safetensors"
    save_file(state, file)
    assert load_distance("st-lpips-alex", str(tmp_path)).info.name == "st-lpips-alex (weights of the user)"
    wrong = {
        r"another network: `net\.slice1\.1\.filt` is not the filter \(1, 2, 1\) / 4": {
            "net.slice1.1.filt": torch.full((64, 1, 3, 3), 1 / 9)
        },
        r"another network: `0\.weight` has shape \(64, 3, 3, 3\) there, expected shape \(64, 3, 11, 11\)": {
            next(name for name in state if name.endswith(".0.weight")): torch.zeros(64, 3, 3, 3)
        },
        "linear weights below 0": {"lin0.model.1.weight": torch.full((1, 64, 1, 1), -1.0)},
        r"weights that are not finite, in `lin4\.model\.1\.weight`": {
            "lin4.model.1.weight": torch.full((1, 256, 1, 1), torch.nan)
        },
    }
    for message, change in wrong.items():
        save_file(state | change, file)
        with pytest.raises(ValueError, match=message):
            load_packaged("alex", str(file))
