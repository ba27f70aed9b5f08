"""Segmentation, against tensors of the reference; see `test_parity` for the folder."""

import json
import math
import re
from pathlib import Path

import pytest
import torch
from golden import assert_near, golden_files, read
from torch import Tensor

from avblocks import AVTokens
from avblocks.checkpoint import from_deepavfusion_segmenter, load_weights
from avblocks.heads import segmentation_loss, segmenter
from avblocks.metrics import (
    class_scores,
    fscore_curves,
    fscore_per_image,
    mean_over_classes,
    miou_no_background,
    miou_with_background,
    predicted_classes,
)

OWN = Path(__file__).parent / "golden"
each_segmentation = pytest.mark.parametrize("file", golden_files("segmentation"))
each_small = pytest.mark.parametrize("file", golden_files("small"))


def weight(name: str, shape: list[int], k: int) -> Tensor:
    """The reference's weights are not stored: a formula gives them."""
    i = torch.arange(math.prod(shape), dtype=torch.float64)
    if len(shape) > 1:
        flat = 2 / math.sqrt(math.prod(shape[1:])) * torch.sin(12.9898 * i + 78.233 * k)
    else:
        wave = torch.sin(0.37 * i + k)
        var, scale = name.endswith("running_var"), name.endswith("weight")
        flat = 1 + 0.5 * wave if var else 1 + 0.1 * wave if scale else 0.1 * wave
    return flat.float().reshape(shape)


def logits_of(file: Path, *, num_classes: int) -> Tensor:
    tensors, config = read(file)
    head = segmenter(config["embed_dim"], num_classes=num_classes, num_layers=config["layers"])
    state = {name: weight(name, shape, k) for name, shape, k in config["state_layout"]}
    converted = from_deepavfusion_segmenter(state).state
    report = load_weights(head, {n.removeprefix("head."): w for n, w in converted.items()})
    assert not report.unused and len(report.loaded) == len(state)
    assert all(name.endswith("num_batches_tracked") for name in report.missing)
    layers = [
        AVTokens(
            image=tensors[f"emb.{i}.image"],
            audio=tensors[f"emb.{i}.audio"],
            fusion=torch.zeros(len(tensors[f"emb.{i}.image"]), 1, config["embed_dim"]),
        )
        for i in range(config["layers"])
    ]
    with torch.no_grad():
        return head.eval()(layers, grid=tuple(config["grid"]))


@each_segmentation
def test_logits_and_loss(file: Path) -> None:
    tensors, _ = read(file)
    classes = [int(n[1]) for n in (re.fullmatch(r"seg\.(\d+)\.logits", t) for t in tensors) if n]
    assert classes
    for k in classes:
        logits, expected = logits_of(file, num_classes=k), tensors[f"seg.{k}.logits"]
        assert_near(logits, expected, "logits")
        loss = segmentation_loss(logits, tensors["input.gt"].long())
        assert_near(loss, tensors[f"seg.{k}.loss"], "loss")
        with pytest.raises(AssertionError):
            assert_near(logits, expected * 1.01)


@each_small
def test_metrics(file: Path) -> None:
    tensors, _ = read(file)
    listed = [folder / "segmetric_names.json" for folder in (file.parent, OWN)]
    names = json.loads(next(path for path in listed if path.is_file()).read_text())
    cases = [n[1] for n in (re.fullmatch(r"segmetric\.(\d+)\.pred", t) for t in tensors) if n]
    assert cases
    for case in cases:
        pred, target = (tensors[f"segmetric.{case}.{name}"] for name in ("pred", "gt"))
        values = dict(zip(names, tensors[f"segmetric.{case}.values"], strict=True))
        ours = scores(pred, target)
        assert ours.keys() == values.keys()
        for name, value in values.items():
            assert_near(ours[name], value.to(ours[name]), f"segmentation, {name}")
            with pytest.raises(AssertionError):
                assert_near(ours[name], value.to(ours[name]) * 1.01)


def scores(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Ours under the reference's names."""
    classes = logits.shape[1]
    found = class_scores(predicted_classes(logits), target, num_classes=max(classes, 2))
    means = {"miou": miou_with_background(found), "miou_noBg": miou_no_background(found)}
    for name in ("precision", "recall", "fscore"):
        means[name] = mean_over_classes(getattr(found, name), background=True)
        means[f"{name}_noBg"] = mean_over_classes(getattr(found, name), background=False)
    if classes == 1:  # A single F, at the best threshold of each image, under both names.
        curves = fscore_curves(logits[:, 0].sigmoid(), target, thresholds=256)
        means["fscore"] = means["fscore_noBg"] = fscore_per_image(curves)
    return means
