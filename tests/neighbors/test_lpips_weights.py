"""Files of weights: found, checked, read; what is missing or wrong is one sentence."""

import dataclasses
import hashlib
import sys

import pytest
import torch
from safetensors.torch import save_file

from spurion.core.random import generator
from spurion.neighbors import load_distance
from spurion.neighbors.lpips import weights as module
from spurion.neighbors.lpips.backbones import BACKBONES
from spurion.neighbors.lpips.reading import random_seed
from spurion.neighbors.lpips.weights import find_weights, load_weights

NETWORKS = sorted(BACKBONES)


def torchvision_state(network):
    """A state with torchvision's names, classifier and all."""
    random = load_weights(network, "random:5")
    state = {f"features.{name}": value for name, value in random.features.items()}
    return state | {"classifier.1.weight": torch.zeros(10, 4), "classifier.1.bias": torch.zeros(10)}


def linear_state(network):
    linear = load_weights(network, "random:5").linear
    return {f"lin{i}.model.1.weight": w[None, :, None, None] for i, w in enumerate(linear)}


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No weights in the usual places."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(module, "LINEAR_FOLDERS", {})


@pytest.fixture
def publish(monkeypatch, nowhere, tmp_path):
    """Write files that count as the published ones of a network, in the folder "published"."""

    def write(network):
        folder = tmp_path / "published"
        folder.mkdir(exist_ok=True)
        draft, linear = folder / "draft", folder / BACKBONES[network].linear_file
        torch.save(torchvision_state(network), draft)
        torch.save(linear_state(network), linear)
        file = draft.rename(folder / f"net-{hashlib.sha256(draft.read_bytes()).hexdigest()[:8]}.pth")
        digest = hashlib.sha256(linear.read_bytes()).hexdigest()
        changed = dataclasses.replace(BACKBONES[network], file=file.name, linear_sha256=digest)
        monkeypatch.setitem(BACKBONES, network, changed)
        return file, linear

    return write


@pytest.mark.parametrize("network", NETWORKS)
def test_torchvision_s_files_load_unchanged(publish, network):
    file, linear = publish(network)
    found = load_weights(network, str(file.parent))
    random = load_weights(network, "random:5")
    assert found.features.keys() == random.features.keys()
    assert found.mark == ""
    digest = hashlib.sha256(linear.read_bytes()).hexdigest()[:16]
    assert found.source.startswith(f"{file.name} (sha256 {file.stem[4:]}")
    assert found.source.endswith(f", {linear.name} (sha256 {digest})")
    x = 2 * torch.rand(2, 3, 32, 32, generator=generator(0, "weights")) - 1
    loaded, expected = (
        load_distance(f"lpips-{network}", source) for source in (str(file.parent), "random:5")
    )
    assert torch.equal(loaded.embed(x), expected.embed(x))


def test_the_file_alone_with_linear_weights_of_a_package(publish, monkeypatch, tmp_path):
    file, linear = publish("alex")
    package = tmp_path / "packages" / "carrier"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('imported')")
    linear.rename(package / "models" / linear.name)
    monkeypatch.setattr(module, "LINEAR_FOLDERS", {"absent_package": "models", "carrier": "models"})
    monkeypatch.syspath_prepend(tmp_path / "packages")
    assert load_weights("alex", str(file)).mark == ""
    assert "carrier" not in sys.modules


def test_own_weights_are_marked(publish, tmp_path):
    publish("alex")
    own = tmp_path / "own"
    own.mkdir()
    save_file(torchvision_state("alex"), (own / BACKBONES["alex"].file).with_suffix(".safetensors"))
    save_file(linear_state("alex"), own / "alex.safetensors")
    distance = load_distance("lpips-alex", str(own))
    assert distance.info.name == "lpips-alex (weights of the user)"
    assert "not those of the published LPIPS" in distance.notes((3, 32, 32))[0]


def test_random_weights_are_marked_and_follow_the_seed():
    distance = load_distance("lpips-squeeze", "random:3")
    assert distance.info.name == "lpips-squeeze (random weights, seed 3)"
    assert distance.info.weights == "random:3"
    first, again, other = (load_weights("alex", f"random:{seed}") for seed in (3, 3, 4))
    assert all(torch.equal(first.features[name], again.features[name]) for name in first.features)
    assert not torch.equal(first.features["0.weight"], other.features["0.weight"])
    # He et al.: variance 2 / fan-in; 23,232 draws give it to 3 standard errors of 0.9 %.
    assert first.features["0.weight"].var().item() == pytest.approx(2 / (3 * 11 * 11), rel=0.03)
    assert random_seed(None) is random_seed("folder") is None
    for text in ("random", "random:", "random:-1", "random:x"):
        with pytest.raises(ValueError, match="Random weights are asked for as `random:SEED`"):
            load_weights("alex", text)


def test_missing_files_are_named_with_the_flag(nowhere, publish, tmp_path):
    file, linear = publish("alex")
    with pytest.raises(
        ValueError, match=rf"weights {file.name} of torchvision: .*`--weights`.*`--allow-download`"
    ):
        find_weights("alex", None)
    with pytest.raises(ValueError, match=rf"There is no file or folder .*absent; .* folder with {file.name}"):
        find_weights("alex", str(tmp_path / "absent"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=rf"{file.name} of torchvision, which are not in .*empty: name"):
        find_weights("alex", str(tmp_path / "empty"))
    assert find_weights("alex", str(file)) == (file, linear)
    linear.unlink()
    for place in (file, file.parent):
        with pytest.raises(ValueError, match=r"linear weights alex\.pth: install torchmetrics or lpips"):
            find_weights("alex", str(place))


def test_what_a_folder_lacks_is_looked_for_in_the_usual_places(publish, monkeypatch, tmp_path):
    file, linear = publish("alex")
    (tmp_path / "mine").mkdir()
    linear = linear.rename(tmp_path / "mine" / linear.name)
    kept = tmp_path / "hub" / "checkpoints" / file.name
    kept.parent.mkdir(parents=True)
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda url, path, progress: file.rename(path))
    with pytest.raises(ValueError, match=r"which are not in .*mine: name .*allow the download"):
        find_weights("alex", str(tmp_path / "mine"))
    assert find_weights("alex", str(tmp_path / "mine"), allow_download=True) == (kept, linear)
    assert find_weights("alex", str(tmp_path / "mine")) == (kept, linear)


def test_the_file_in_the_folder_comes_before_the_usual_places(publish, monkeypatch, tmp_path):
    file, linear = publish("alex")
    kept = tmp_path / "hub" / "checkpoints" / file.name
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"another")
    assert find_weights("alex", str(file.parent)) == (file, linear)
    assert find_weights("alex", str(file)) == (file, linear)


def test_damaged_and_foreign_files(publish, tmp_path):
    file, linear = publish("alex")
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    with pytest.raises(ValueError, match=r"is damaged or not the published file: its SHA-256 begins with"):
        load_weights("alex", str(file.parent))
    file.write_bytes(content)
    linear.write_bytes(linear.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"alex\.pth is damaged or not the published file"):
        load_weights("alex", str(file.parent))
    other = tmp_path / "weights.bin"
    other.write_bytes(b"")
    with pytest.raises(ValueError, match=r"weights\.bin must be a \.pth or \.safetensors file"):
        load_weights("alex", str(other))


def own(tmp_path, features, linear):
    save_file(features, (tmp_path / BACKBONES["alex"].file).with_suffix(".safetensors"))
    save_file(linear, tmp_path / "alex.safetensors")
    return str(tmp_path)


def test_wrong_shapes_and_names(nowhere, tmp_path):
    state, linear = torchvision_state("alex"), linear_state("alex")
    short = {**state, "features.3.weight": torch.zeros(192, 64, 3, 3)}
    with pytest.raises(
        ValueError, match=r"another network: `3\.weight` has shape \(192, 64, 3, 3\) there, expected"
    ):
        load_weights("alex", own(tmp_path, short, linear))
    lacking = {name: value for name, value in state.items() if name != "features.10.bias"}
    with pytest.raises(ValueError, match=r"`10\.bias` has nothing there, expected shape \(256,\)"):
        load_weights("alex", own(tmp_path, lacking, linear))
    with pytest.raises(ValueError, match=r"`12\.weight` has shape \(2,\) there, expected nothing"):
        load_weights("alex", own(tmp_path, {**state, "features.12.weight": torch.zeros(2)}, linear))
    with pytest.raises(ValueError, match=r"another network: `lin0\.model\.1\.weight` has shape"):
        load_weights(
            "alex", own(tmp_path, state, linear_state("vgg") | {"lin0.model.1.weight": torch.zeros(1)})
        )
    for value, message in (
        (-1e-3, "linear weights below 0, for which LPIPS is no distance"),
        (torch.nan, r"weights that are not finite, in `lin2\.model\.1\.weight`; give others"),
        (torch.inf, r"weights that are not finite, in `lin2\.model\.1\.weight`; give others"),
    ):
        wrong = {**linear, "lin2.model.1.weight": torch.full((1, 384, 1, 1), value)}
        with pytest.raises(ValueError, match=message):
            load_weights("alex", own(tmp_path, state, wrong))
    for value in (torch.nan, -torch.inf):
        wrong = {**state, "features.8.bias": torch.full((256,), value)}
        with pytest.raises(ValueError, match=r"weights that are not finite, in `8\.bias`; give others"):
            load_weights("alex", own(tmp_path, wrong, linear))
    own(tmp_path, state, linear)
    (tmp_path / "alex.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"alex\.safetensors is damaged"):
        load_weights("alex", str(tmp_path))


def test_nothing_is_downloaded_unless_allowed(publish, monkeypatch, tmp_path):
    file, linear = publish("alex")
    asked = []

    def download(url, path, progress):
        asked.append(url)
        file.rename(path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    carrier = tmp_path / "carrier" / "__init__.py"
    carrier.parent.mkdir()
    carrier.write_text("")
    linear.rename(carrier.parent / linear.name)
    monkeypatch.setattr(module, "LINEAR_FOLDERS", {"carrier": "."})
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="allow the download"):
        load_weights("alex", None)
    assert asked == []
    assert load_weights("alex", None, allow_download=True).mark == ""
    assert asked == [f"https://download.pytorch.org/models/{file.name}"]
    assert load_weights("alex", None, allow_download=True).mark == ""
    assert len(asked) == 1


def test_a_download_that_fails(nowhere, monkeypatch):
    def fail(url, path, progress):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(
        ValueError, match=r"alexnet-owt-7be5be79\.pth could not be downloaded \(no route to host\)"
    ):
        find_weights("alex", None, allow_download=True)
