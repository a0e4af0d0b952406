"""A plausible run folder without any model: real digits, two log-normal distances, known fractions."""

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from spurion.audits.checks import checked as checked_audit
from spurion.audits.results import AuditResult
from spurion.phases.detection import power
from spurion.studies.checks import checked
from spurion.studies.results import StudyResult

HOSTILE = '<script>alert("1")</script>'
CLASSES = ("memorized", "spurious", "generalized")
SIZES = (2, 8, 16, 32, 64, 90, 128, 181, 256, 512, 1024, 1437)
MEMORIZED = (1.0, 0.99, 0.97, 0.9, 0.79, 0.69, 0.47, 0.21, 0.0, 0.0, 0.0, 0.0)
SPURIOUS = (0.0, 0.0, 0.01, 0.08, 0.14, 0.22, 0.30, 0.27, 0.02, 0.0, 0.0, 0.0)
LEAK = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.99, 0.97, 0.95, 0.72, 0.61, 0.58)
THRESHOLD = 0.36
FACTORS = [2.0 ** (step / 4) for step in range(-8, 9)]


@dataclass(frozen=True)
class Recipe:
    """What to plant: points that failed, points with classes only, points without thresholds."""

    sizes: tuple[int, ...] = SIZES
    samples: int = 2000
    uneven: bool = False
    name: str = "digits"
    failed: tuple[int, ...] = ()
    sparse: tuple[int, ...] = ()
    blind: tuple[int, ...] = ()
    gallery: int = 32
    held_out: bool = True
    geometry: bool = False
    rule: str = "null:0.01"
    message: str = "The training loss became nan at step 1200"
    changes: dict = field(default_factory=dict)


def write_run(folder: Path, recipe: Recipe | None = None) -> dict:
    """Write a run folder and return the values of its study.json."""
    recipe = recipe or Recipe()
    images = (load_digits().images * 255 / 16).astype(np.uint8)[:, None]
    sets = _sets(recipe)
    points = [_point(folder, recipe, size, images, sets) for size in recipe.sizes]
    study = {
        "name": recipe.name,
        "config": {
            "name": recipe.name,
            "seed": 7,
            "thresholds": recipe.rule,
            "training": {"iterations": 16000},
        },
        "environment": {"versions": {"python": "3.11.2", "torch": "2.13.0"}, "cores": 2, "accelerator": None},
        **sets,
        "common_size": min(point["sample_size"] for point in points),
        "points": points,
        "capacities": CAPACITIES,
        **(_other_capacities(recipe) if "capacities" not in recipe.changes else {}),
        "curvature": SCAN if recipe.geometry else None,
    }
    values = checked(StudyResult.model_validate(study | recipe.changes)).to_json()
    (folder / "study.json").write_text(json.dumps(values), encoding="utf-8")
    return values


def _sets(recipe: Recipe) -> dict:
    train = {"name": recipe.name, "count": 1437, "shape": [1, 8, 8], "sha256": "ab" * 32}
    held_out = train | {"name": f"{recipe.name}, held out", "count": 360, "sha256": "cd" * 32}
    return {"train": train, "holdout": held_out if recipe.held_out else None}


def change(run, train_size, **changes):
    """Replace fields of the audit of one training size, and make all claims anew."""
    (shown,) = [one for one in run.done if one.train_size == train_size]
    audit = checked_audit(shown.audit.model_copy(update={"claims": (), **changes}))
    points = [
        point.model_copy(update={"audit": audit} if point.train_size == train_size else {})
        for point in run.study.points
    ]
    object.__setattr__(shown, "audit", audit)
    object.__setattr__(run, "study", checked(run.study.model_copy(update={"points": tuple(points)})))


CAPACITIES = {
    "epsilon": 0.1,
    "memorization": {"value": 33.2, "low": 31.0, "high": 36.5, "bracket": [32, 64], "note": ""},
    "spurious": {"value": 128, "low": 128, "high": 181, "bracket": [90, 181], "note": ""},
    "generalization": {"value": 241.0, "low": 236.0, "high": 246.0, "bracket": [181, 256], "note": ""},
}


def _other_capacities(recipe: Recipe) -> dict:
    """Those at other alphas and of the leak, as far as the recipe has a rule and held-out images for them."""
    if set(recipe.sizes) <= {*recipe.failed, *recipe.blind, *recipe.sparse}:
        return {}
    return {
        **(BY_ALPHA if recipe.rule.startswith("null") else {}),
        "leak_capacities": LEAK_CAPACITIES if recipe.held_out else None,
    }


def _capacity(value, low, high, left, right) -> dict:
    return {"value": value, "low": low, "high": high, "bracket": [left, right], "note": ""}


BY_ALPHA = {
    "capacities_by_alpha": [
        {
            "alpha": 0.05,
            "capacities": CAPACITIES
            | {
                "memorization": _capacity(45.0, 40.0, 52.0, 32, 64),
                "generalization": _capacity(None, 1000.0, None, 1437, None),
            },
        },
        {"alpha": 0.01, "capacities": CAPACITIES},
        {"alpha": 0.001, "capacities": CAPACITIES | {"memorization": _capacity(20.0, None, 26.0, 16, 32)}},
    ]
}
"""Capacities at three shares of false calls, with open ends on both sides."""

LEAK_CAPACITIES = {
    "most": _capacity(300.0, 250.0, 340.0, 256, 1437),
    "half": _capacity(600.0, 500.0, 720.0, 256, 1437),
    "none": _capacity(None, 1437.0, None, 1437, None),
}


SCAN = {
    "train_size": 1437,
    "points": 64,
    "times": [2, 13, 70],
    "noise": [0.02, 0.06, 0.24],
    "separation": [0.01, 0.11, None],
    "soft_directions": [60.0, 44.0, None],
    "intrinsic_dimension": [59.0, 46.0, None],
    "separation_low": [0.008, 0.1, None],
    "separation_high": [0.012, 0.12, None],
    "soft_directions_low": [59.0, 42.0, None],
    "soft_directions_high": [61.0, 46.0, None],
    "intrinsic_dimension_low": [57.0, 45.0, None],
    "intrinsic_dimension_high": [61.0, 47.0, None],
    "chosen_time": 13,
    "chosen_noise": 0.06,
    "note": "",
}
MEASURED = {
    "critical-noise": ("noise sigma_t", "Algorithm 1", (0.5, 0.1, 0.02, 0.4, "never"), 1),
    "log-volume": ("nats", "Eq. 12", (40.0, -100.0, -180.0, 30.0, "never"), 1),
    "soft-directions": ("directions", "Eq. 35-36", (1.0, 2.0, 4.0, 1.0, 9.0), -1),
    "intrinsic-dimension": ("dimensions", "Eq. 12", (1.0, 5.0, 20.0, 1.0, 7000.0), -1),
    "relative-energy": (
        "potential u, relative to the references",
        "Eq. 44-47",
        (-2.0, -1.5, -1.0, -2.1, 0.5),
        -1,
    ),
    "log-density": ("nats", "Eq. 24-33", (120.0, 110.0, 100.0, 121.0, -300.0), 1),
    "my-measure": ("units", "of my own", (3.0, 2.0, 1.0, 3.1, "always"), 1),
}
"""Unit, source, median of each group, and whether memorized is expected to be highest."""

GROUPS = (*CLASSES, "training", "held-out")


def reading(value, n: int = 40, **statuses: int) -> dict:
    """A median with an interval of a tenth of it to each side."""
    number = isinstance(value, float)
    low, high = (value - abs(value) / 10, value + abs(value) / 10) if number else (value, value)
    counts = {"measured": n} if number else {"measured": n // 2 - 1, value or "undecided": n // 2 + 1}
    return {"value": value, "low": low, "high": high, "n": n, "statuses": counts | statuses}


def order(higher: str, lower: str, auc: float, p_value: float) -> dict:
    ends = {"value": auc, "low": max(0.0, auc - 0.05), "high": min(1.0, auc + 0.05)}
    return {"auc": ends, "p_value": p_value, "higher": higher, "lower": lower, "n": [40, 40]}


def geometry(size: int, counts: list[int]) -> dict:
    """A geometry in which classes of at least 12 samples are measured and in the order of the paper."""
    there = [name for name, count in zip(CLASSES, counts, strict=True) if count >= 12]
    sizes = {
        name: {"available": n, "measured": n if n >= 12 else 0}
        for name, n in zip(CLASSES, counts, strict=True)
    }
    sizes |= {
        "training": {"available": size, "measured": size},
        "held-out": {"available": 360, "measured": 360},
    }
    names = [name for name in GROUPS if name in (*there, "training", "held-out")]
    pairs = [pair for pair in ((0, 1), (1, 2), (0, 2)) if all(CLASSES[i] in there for i in pair)]
    measures = []
    for name, (unit, source, medians, sign) in MEASURED.items():
        values = dict(zip(GROUPS, medians, strict=True))
        orders = [order(CLASSES[a], CLASSES[b], 0.9, 1e-9) for a, b in (pair[::sign] for pair in pairs)]
        groups = {
            group: reading(None if group == "training" and size < 6 else values[group]) for group in names
        }
        measures.append({"name": name, "unit": unit, "source": source, "groups": groups, "orders": orders})
    return {
        "groups": sizes,
        "dim": 64,
        "tolerance": 0.36,
        "time": 13,
        "noise": 0.06,
        "measures": measures,
        "spectra": {name: np.linspace(-0.1, 1.1, 64).tolist() for name in names},
        "spectra_low": {name: np.linspace(-0.2, 1.0, 64).tolist() for name in names},
        "spectra_high": {name: np.linspace(0.0, 1.2, 64).tolist() for name in names},
        "asymmetry": dict.fromkeys(names, 0.1),
        "clip": False,
        "steps": 20,
    }


def flow(size: int, counts: list[int]) -> dict:
    """Samples that flow into training images up to K = 128, and into four shared states beyond."""
    names = ("training_image", "shared_state", "own_state", "failed")
    ends = (1, 0) if size <= 128 else (0, 1)
    rows = [dict(zip(names, (n * ends[0], n * ends[1], 0, 0), strict=True)) for n in counts]
    recalled = size if size <= 128 else size // 10
    return {
        "noise": 0.0987,
        "time": 31,
        "steps": 300,
        "tolerance": 0.5,
        "images": size,
        "recalled": recalled,
        "recall": interval(recalled / size, size),
        "into_training": interval(float(ends[0]), sum(counts)),
        "classes": dict(zip(CLASSES, rows, strict=True)),
        "basins": 4 * ends[1],
        "chains": 0,
    }


def interval(value: float, n: int) -> dict:
    half = 1.96 * (value * (1 - value) / n) ** 0.5
    low, high = max(0.0, value - half), min(1.0, value + half)
    return {"value": value, "low": 0.05 ** (1 / n) if value == 1 else low, "high": high if value else 3 / n}


def fractions(labels: np.ndarray) -> dict:
    return {name: interval(float((labels == i).mean()), len(labels)) for i, name in enumerate(CLASSES)}


def _thresholds(rule: str, factor: float = 1.0) -> dict:
    return {
        "rule": rule,
        "memorized": THRESHOLD * factor,
        "spurious": THRESHOLD * factor,
    } | (_of_null() if rule.startswith("null") else _of_valley())


def _of_null() -> dict:
    fit = {
        "held_out": True,
        "images": 360,
        "dimension": 6.18,
        "carried": [True, True],
        "lawful": [True, True],
    }
    return {"identifiable": {"memorized": True, "spurious": True}, "sample_size": 200, "null": fit}


def _of_valley() -> dict:
    return {
        "identifiable": {"memorized": True, "spurious": False},
        "notes": ["the gray histogram has one mode, so the spurious threshold equals the memorized one"],
    }


def _at_alphas(olive: np.ndarray, gray: np.ndarray) -> list[dict]:
    """Fractions at three alphas, whose thresholds differ by a factor."""
    return [
        {
            "alpha": alpha,
            "memorized": THRESHOLD * factor,
            "spurious": THRESHOLD * factor,
            "fractions": fractions(_classify(olive, gray, THRESHOLD * factor)),
        }
        for alpha, factor in ((0.05, 1.5), (0.01, 1.0), (0.001, 0.7))
    ]


def _curve(values: tuple[float, ...], size: int) -> float:
    return float(np.interp(np.log(size), np.log(SIZES), values))


def _distances(rng: np.random.Generator, size: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels with the planted fractions, and distances that agree with them."""
    counts = [round(n * _curve(values, size)) for values in (MEMORIZED, SPURIOUS)]
    labels = np.repeat([0, 1, 2], [*counts, n - sum(counts)])
    near = np.exp(rng.normal(np.log(0.12), 0.35, (2, n))).clip(0.02, 0.35)
    far = np.exp(rng.normal(np.log(1.6), 0.3, (2, n))).clip(0.37, 4)
    olive, gray = np.where(labels == 0, near[0], far[0]), np.where(labels == 2, far[1], near[1])
    if size == SIZES[0]:
        olive[0] = 0.0
    return labels, olive, gray


def _point(folder: Path, recipe: Recipe, size: int, images: np.ndarray, sets: dict) -> dict:
    n = max(200, 4 * size) if recipe.uneven else recipe.samples
    base = {"train_size": size, "sample_size": n, "seconds": {"train": 60.0, "sample": 6.5}}
    here = folder / "points" / f"{size:06d}"
    here.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(size)
    steps = np.arange(100, 1201 if size in recipe.failed else 16001, 100)
    loss = 0.02 + 0.9 * steps**-0.35 + 0.01 * rng.random(len(steps)) + 0.004 * np.log(size)
    rows = [{"step": s, "loss": v} for s, v in zip(steps.tolist(), loss.tolist(), strict=True)]
    (here / "training.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if size in recipe.failed:
        return base | {"message": recipe.message}
    labels, olive, gray = _distances(rng, size, n)
    base["training"] = {"iterations": 16000, "final_loss": float(loss[-1]), "parameters": 150_000}
    neighbors = rng.integers(0, size, n), rng.integers(0, n, n)
    shown = np.full(n, -1) if size in recipe.blind else labels
    listed = labels == 0 if recipe.rule.startswith("null") and size not in recipe.blind else None
    _write_samples(here / "samples.csv", shown, olive, gray, *neighbors, listed)
    _write_gallery(here / "gallery.npz", recipe.gallery, shown, neighbors[0], images, rng)
    audit = _unmeasured(recipe, size, n, sets, olive, gray)
    if size in recipe.blind:
        audit["thresholds"] |= {"memorized": None, "spurious": None}
        return base | {"audit": checked_audit(AuditResult.model_validate(audit))}
    audit |= {"fractions": fractions(labels), "counts": np.bincount(labels, minlength=3).tolist()}
    if listed is not None:
        audit |= {"by_alpha": _at_alphas(olive, gray), "listed": np.flatnonzero(listed).tolist()}
        audit["excess"] = interval(float(listed.mean()), n)
    if size not in recipe.sparse:
        audit |= _measures(recipe, size, labels, olive, gray)
        curve = audit["rarefaction"]
        at_common = np.interp(200, curve["sample_sizes"], curve["spurious"]) if (labels == 1).any() else 0.0
        base["spurious_at_common_size"] = float(at_common)
        if recipe.geometry:
            audit["geometry"] = geometry(size, audit["counts"])
            audit["flow"] = flow(size, audit["counts"])
    return base | {"audit": checked_audit(AuditResult.model_validate(audit))}


def _unmeasured(recipe: Recipe, size: int, n: int, sets: dict, olive: np.ndarray, gray: np.ndarray) -> dict:
    """An audit of which nothing is known but its sets, its distances, and its thresholds."""
    edges = np.geomspace(0.01, 10, 31)
    sampler = {"kind": "ddpm", "steps": 250, "eta": 0.0, "clip": True, "batch_size": 512}
    samples = sets["train"] | {"name": "samples", "count": n, "sha256": "ef" * 32}
    return {
        "inputs": {**sets, "train": sets["train"] | {"count": size}, "samples": samples},
        "model": {"name": "model", "sha256": "01" * 32, "sampler": sampler},
        "distance": {"name": "l2", "unit": "pixel values in [-1, 1]"},
        "thresholds": _thresholds(recipe.rule),
        "power": power(n).model_dump(),
        "histograms": {
            "edges": edges.tolist(),
            "train": np.histogram(olive, edges)[0].tolist(),
            "samples": np.histogram(gray, edges)[0].tolist(),
        },
        "seed": 7,
    }


def _measures(recipe: Recipe, size: int, labels: np.ndarray, olive: np.ndarray, gray: np.ndarray) -> dict:
    n, leak = len(labels), _curve(LEAK, size)
    classes = [_classify(olive, gray, THRESHOLD * factor) for factor in FACTORS]
    sensitivity = {name: [float((c == i).mean()) for c in classes] for i, name in enumerate(CLASSES)}
    held_out = {
        "holdout_thresholds": _thresholds("holdout:0.01", 1.3),
        "holdout_fractions": fractions(_classify(olive, gray, 1.3 * THRESHOLD)),
        "null": {
            "share_closer_to_train": interval(leak, n),
            "share_p_value": 1e-4,
            "set_size": min(size, 360),
            "ct": 2 * np.log(size) - 15,
            "authpct": 100 * (1 - leak),
            "authpct_holdout": 45.0,
            "notes": ["few held-out images"],
        },
    }
    return {
        "ratio_fractions": fractions(np.minimum(labels + (np.arange(n) % 9 == 0), 2)),
        "duplicated_memorized": 0.98 if (labels == 0).any() else None,
        "collision_rate": 0.5 / size,
        "census": _census(size, labels),
        "sensitivity": {"factors": FACTORS, **sensitivity},
        "controls": {
            "noisy_copies": interval(1.0, 200),
            "noise": 0.01,
            "held_out": interval(0.0, 360) if recipe.held_out else None,
        },
        "rarefaction": _rarefaction(n, float((labels == 1).mean())),
        **(held_out if recipe.held_out else {}),
    }


def _rarefaction(n: int, spurious: float) -> dict:
    sizes = np.unique(np.geomspace(1, n, 25).round().astype(int))
    curve = spurious * (sizes - 1) / (sizes - 1 + n / 6) * (1 + n / 6 / (n - 1))
    return {"sample_sizes": sizes.tolist(), "spurious": curve.tolist(), "samples": n, "neighbors": []}


def _census(size: int, labels: np.ndarray) -> dict:
    counted, n = int((labels < 2).sum()), len(labels)
    number = min(size, counted // 2)
    memorized = number * 2 // 3
    mass = np.arange(1, number + 1) ** -0.5
    shares = np.maximum(np.floor(mass / max(mass.sum(), 1) * counted), 2) / n
    return {
        "attractors": number,
        "memorized": memorized,
        "spurious": number - memorized,
        "unseen_mass": 1 - counted / n,
        "chao1": number * 1.4 if number else None,
        "shares": shares.tolist(),
        "chains": 0,
        "chained_mass": 0.0,
    }


def _classify(olive: np.ndarray, gray: np.ndarray, threshold: float) -> np.ndarray:
    return np.where(olive <= threshold, 0, np.where(gray <= threshold, 1, 2))


def _write_samples(
    path: Path,
    labels: np.ndarray,
    olive: np.ndarray,
    gray: np.ndarray,
    train: np.ndarray,
    other: np.ndarray,
    listed: np.ndarray | None = None,
) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = "index,label,distance_train,nearest_train,distance_train_2,distance_sample,nearest_sample"
        more = [] if listed is None else ["p_value", "met_again", "listed"]
        writer.writerow([*columns.split(","), *more])
        for i, label in enumerate(labels):
            name = CLASSES[label] if label >= 0 else ""
            row = [i, name, olive[i], train[i], "", gray[i], other[i]]
            if listed is not None:
                row += [min(1.0, float(olive[i]) / 5), float(label == 1), str(bool(listed[i])).lower()]
            writer.writerow(row)


def _write_gallery(
    path: Path,
    count: int,
    labels: np.ndarray,
    nearest_train: np.ndarray,
    images: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Memorized: the training image; spurious: the mean of two, twice; generalized: anything."""
    index = np.concatenate([np.flatnonzero(labels == label)[:count] for label in range(-1, 3)])
    kind = labels[index][:, None, None, None]
    train = images[nearest_train[index]].astype(int)
    others, novel = images[rng.integers(0, len(images), (2, len(index)))].astype(int)
    sample = np.select([kind == 0, kind == 1], [train, (train + others) // 2], novel)
    other = np.where(kind == 2, others, sample)
    noisy = [np.clip(a + rng.normal(0, 6, a.shape), 0, 255) for a in (sample, other)]
    arrays = {"sample": noisy[0], "train": train, "other": noisy[1]}
    stored = {name: array.astype(np.uint8) for name, array in arrays.items()}
    np.savez_compressed(path, index=index, label=labels[index], **stored)
