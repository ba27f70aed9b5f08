"""The rules of published evaluators, side by side on the same predictions.

`python -m tests.metrics.rules` writes `docs/results/metrics.json`, which `docs/metrics.rst` shows;
`test_rules.py` computes it again, and compares the library's functions with the rules. The rules
are written here in numpy, after the code that the page names; the predictions are fixed.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avblocks import metrics

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "metrics.json"
Table = Mapping[str, Mapping[str, Any]]
_SIDE = 16


def ciou(chosen: np.ndarray, truth: np.ndarray) -> float:
    """`cal_CIOU` of all codes: 0 / 0 is NaN if both are empty."""
    total = truth.sum() + (chosen & (truth == 0)).sum()
    return (chosen * truth).sum() / total if total else math.nan


def cut(values: np.ndarray, kept: int) -> float:
    """`np.sort(pred.flatten())[N - kept]`: the lowest of the kept values."""
    return np.sort(values.flatten())[values.size - kept]


def maps() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Maps and ground truth of one image in four cases; the source covers a quarter."""
    truth = np.zeros((_SIDE, _SIDE))
    truth[: _SIDE // 2, : _SIDE // 2] = 1
    values = truth + np.random.default_rng(0).normal(size=truth.shape)
    block = np.zeros_like(truth)
    block[: _SIDE // 2, : _SIDE // 4] = 1
    return {
        "distinct values": (values, truth),
        "half of the source": (block, truth),
        "constant map": (np.ones_like(truth), truth),
        "no source": (values, np.zeros_like(truth)),
    }


def adaptive(values: np.ndarray, truth: np.ndarray) -> float:
    """The threshold of SSL-Align; without a source it keeps half of the pixels."""
    return cut(values, int((truth != 0).sum()) or values.size // 2)


CIOU: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "median, above it (SSL-Align)": lambda x, t: ciou(x > cut(x, x.size // 2), t),
    "median, from it on (AVGN)": lambda x, t: ciou(x >= cut(x, x.size // 2), t),
    "ciou_median": lambda x, t: ours(metrics.ciou_median, x, t),
    "size of the source, above it (SSL-Align)": lambda x, t: ciou(x > adaptive(x, t), t),
    "size of the source, from it on": lambda x, t: ciou(x >= adaptive(x, t), t),
    "ciou_adaptive": lambda x, t: ours(metrics.ciou_adaptive, x, t),
}


def ours(rule: Callable[..., torch.Tensor], values: np.ndarray, truth: np.ndarray) -> float:
    """Score one map with a function of the library."""
    return rule(torch.from_numpy(values)[None], torch.from_numpy(truth)[None]).item()


def localization() -> Table:
    """CIoU of each map by each rule, in percent."""
    cases = maps()
    return {
        name: {case: 100 * rule(x, t) for case, (x, t) in cases.items()}
        for name, rule in CIOU.items()
    }


def sources() -> Table:
    """Pixel-wise average precision of one map, in percent."""
    rules: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
        "the cut map as truth, the truth as scores (AVGN)": lambda x, t: average_precision(
            t.flatten(), (x >= cut(x, x.size // 2)).flatten()
        ),
        "the truth as truth, the map as scores": lambda x, t: average_precision(
            x.flatten(), t.flatten()
        ),
        "source_precision": lambda x, t: metrics.source_precision(
            torch.from_numpy(x)[None, None], torch.from_numpy(t)[None, None]
        ).item(),
    }
    cases = maps()
    return {
        name: {case: 100 * rule(x, t) for case, (x, t) in cases.items()}
        for name, rule in rules.items()
    }


def segments() -> tuple[torch.Tensor, torch.Tensor]:
    """60 probability maps of 12 clips, and binary truth; some frames are empty."""
    random = np.random.default_rng(1)
    truth = random.random((60, 8, 8)) < random.choice([0.0, 0.2, 0.5], size=(60, 1, 1))
    logits = 1.5 * truth + random.normal(size=truth.shape) + random.normal(size=(60, 1, 1))
    return torch.from_numpy(1 / (1 + np.exp(-logits))), torch.from_numpy(truth).long()


def fscores() -> Table:
    """F of the same 60 frames by batch, in percent."""
    probability, truth = segments()
    curves = metrics.fscore_curves(probability, truth)
    rows = {f"AVSBench, batches of {n} frames": n for n in (5, 20, 60)}
    found = {name: metrics.fscore_avsbench(curves, batch=n).item() for name, n in rows.items()}
    found["mean of the best F of each frame (DeepAVFusion)"] = metrics.fscore_per_image(
        curves
    ).item()
    return {name: {"F": 100 * value} for name, value in found.items()}


def classes() -> tuple[torch.Tensor, torch.Tensor]:
    """Predicted and true classes of 20 images; class 2 of 5 never occurs, some images are empty."""
    random = np.random.default_rng(2)
    truth = random.integers(0, 4, size=(20, 8, 8)) * (random.random((20, 8, 8)) < 0.4)
    truth[:4] = 0
    known = random.random(truth.shape) < np.where(truth == 3, 0.4, 0.8)
    guess = np.where(known, truth, random.integers(0, 4, truth.shape))
    shift = np.array([0, 1, 3, 4])
    return torch.from_numpy(shift[guess]), torch.from_numpy(shift[truth])


def semantic() -> Table:
    """Mean IoU of the same 20 images, in percent."""
    guess, truth = classes()
    every = metrics.class_scores(guess, truth, num_classes=5, skip_empty=False)
    some = metrics.class_scores(guess, truth, num_classes=5)
    rows = {
        "AVSBench AVSS: absent classes are 0": metrics.mean_avss(every.iou, last=True),
        "AVSBench AVSS, 'noBg': without the last class": metrics.mean_avss(every.iou, last=False),
        "classes that occur, with background": metrics.mean_over_classes(
            every.iou, background=True
        ),
        "the same without empty images (DeepAVFusion)": metrics.miou_with_background(some),
        "the same without background (DeepAVFusion)": metrics.miou_no_background(some),
    }
    return {name: {"mIoU": 100 * value.item()} for name, value in rows.items()}


def labels() -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and labels of 30 samples; 2 of 10 classes have no sample."""
    random = np.random.default_rng(3)
    target = random.random((30, 10)) < 0.2
    target[:, 8:] = False
    scores = target + random.normal(size=target.shape)
    return torch.from_numpy(scores), torch.from_numpy(target).double()


def average_precision(scores: np.ndarray, target: np.ndarray) -> float:
    """scikit-learn's: precision times the step of recall at each value; without a positive 0."""
    passed = [scores >= value for value in np.unique(scores)[::-1]]
    hits = np.array([target[some].sum() for some in passed])
    precision = hits / [some.sum() for some in passed]
    steps = np.diff(hits, prepend=0)
    return float((precision * steps).sum() / hits[-1]) if hits[-1] else 0.0


def classification() -> Table:
    """Mean average precision of the same scores, in percent."""
    scores, target = labels()
    each = [
        average_precision(s, t) for s, t in zip(scores.T.numpy(), target.T.numpy(), strict=True)
    ]
    rows = {
        "all classes, 0 without samples (scikit-learn, torchmetrics)": float(np.mean(each)),
        "classes with samples (VGGSounder)": float(np.mean([x for x in each if x])),
        "mean_average_precision": metrics.mean_average_precision(scores, target),
        "all pairs of sample and class together (micro)": average_precision(
            scores.numpy().flatten(), target.numpy().flatten()
        ),
    }
    return {name: {"mAP": 100 * value} for name, value in rows.items()}


def similarities() -> dict[str, np.ndarray]:
    """Similarities of 50 pairs: distinct, rounded to tenths, and constant."""
    random = np.random.default_rng(4)
    distinct = random.random((50, 50)) + 0.8 * np.eye(50)
    return {
        "distinct": distinct,
        "rounded": np.round(distinct, 1),
        "constant": np.ones((50, 50)),
    }


def positions(x: np.ndarray) -> np.ndarray:
    """CAV-MAE's ranks: every position in the sorted row that equals the match, from 0."""
    ordered = np.sort(-x, axis=1)
    return np.where(ordered - np.diag(-x)[:, None] == 0)[1]


RECALL: dict[str, Callable[[np.ndarray], float]] = {
    "ties in favor of the match": lambda x: float(np.mean((x > np.diag(x)[:, None]).sum(1) < 5)),
    "ties against the match": lambda x: float(np.mean((x >= np.diag(x)[:, None]).sum(1) - 1 < 5)),
    "every position of a tie (CAV-MAE)": lambda x: float(np.mean(positions(x) < 5)),
    "retrieval_scores: a tie counts half": lambda x: (
        metrics.retrieval_scores(torch.from_numpy(x))["image_to_audio"]["r5"] / 100
    ),
}


def retrieval() -> Table:
    """Recall at 5, in percent."""
    cases = similarities()
    return {
        name: {case: 100 * rule(x) for case, x in cases.items()} for name, rule in RECALL.items()
    }


def separation() -> Table:
    """Mean SI-SDR of two mixtures of two sources; one of the four estimates is silent."""
    random = np.random.default_rng(5)
    sources = torch.from_numpy(random.normal(size=(2, 2, 4000)))
    estimates = sources + 0.1 * sources.flip(1)
    estimates[1, 1] = 0
    found = metrics.separation_scores(estimates, sources=sources, mixture=sources.sum(dim=1))
    every = metrics.si_sdr(estimates, sources=sources)
    silent = found.silent_estimate
    rows = {
        "all estimates; a silent one scores 0 dB (torchmetrics)": every.mean().item(),
        "without mixtures of silent estimates (DeepAVFusion)": every[~silent.any(1)].mean().item(),
        "without silent estimates": every[~silent].mean().item(),
        "separation_scores, which also counts them": found.summary()["si_sdr"],
    }
    return {name: {"SI-SDR, dB": value} for name, value in rows.items()}


def protocols() -> Table:
    """Mean SDR of five mixtures of two sources of growing noise; one estimate is silent."""
    random = np.random.default_rng(6)
    sources, noise = (torch.from_numpy(random.normal(size=(5, 2, 3000))) for _ in range(2))
    estimates = sources + 0.1 * 2.0 ** torch.arange(5)[:, None, None] * noise
    estimates[4, 1] = 0
    given: dict[str, Any] = {"sources": sources, "mixture": sources.sum(dim=1)}
    found = metrics.separation_scores(estimates, **given)
    pixels = metrics.separation_scores(estimates, **given, dropped="mixtures")
    every = metrics.bss_eval(estimates, sources=sources).sdr
    audible = estimates.abs().sum(dim=2) > 1e-5
    means = [row.mean().item() for row in every[audible.all(dim=1)]]  # of four mixtures
    batches = [np.mean(means[:3]), np.mean(means[3:])]  # of mixtures 1 to 3, and 4 and 5
    rows = {
        "without silent estimates": every[audible].mean().item(),
        "separation_scores": found.summary()["sdr"],
        "without their mixtures (DeepAVFusion)": float(np.mean(means)),
        "separation_scores, dropped mixtures": pixels.summary()["sdr"],
        "without their mixtures, mean of batches of three (Sound of Pixels)": float(
            np.mean(batches)
        ),
    }
    return {name: {"SDR, dB": value} for name, value in rows.items()}


TABLES: dict[str, Callable[[], Table]] = {
    "ciou": localization,
    "piap": sources,
    "fscore": fscores,
    "avss": semantic,
    "map": classification,
    "recall": retrieval,
    "si_sdr": separation,
    "sdr": protocols,
}


def measured() -> dict[str, Any]:
    """Return all tables, rounded; a score that is not a number is ``"none"``."""
    return {
        name: {
            row: {k: "none" if math.isnan(v) else round(v, 1) for k, v in values.items()}
            for row, values in table().items()
        }
        for name, table in TABLES.items()
    }


if __name__ == "__main__":
    RESULTS.write_text(json.dumps(measured(), indent=1) + "\n", encoding="utf-8")
    print(f"written: {RESULTS}")
