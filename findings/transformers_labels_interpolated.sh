#!/usr/bin/env bash
# transformers: the image processors of BEiT and DPT interpolate segmentation maps, and so make classes up.
#
# transformers 5.24.0 (torch 2.14.1, torchvision 0.29.1, Pillow 12.3.0). `processor(images, segmentation_maps=maps)`
# resizes both, and returns the maps as "labels". Labels are numbers of classes, so one would guess that the processors
# resize them by nearest neighbor, as those of Segformer and MobileNetV2 do. Those of BEiT, DPT and Sapiens2 resize a
# map with the filter of the image, bicubic for the first two, and round the result: the edge between classes 0 and 149
# consists of other classes, up to 145 of them. They are valid numbers, so training goes on without an error. The edges
# of pixels with the label 255, which are to be ignored, become classes too. The backends of torchvision and of Pillow
# agree. A separate call for the maps, with `resample=PIL.Image.Resampling.NEAREST`, returns only their classes.
# Seen: "classes of a map of 2 classes, and pixels of other classes: BeitImageProcessor 147, 2.4%; BeitImageProcessorPil
# 147, 2.4%; DPTImageProcessor 83, 2.4%; DPTImageProcessorPil 83, 2.4%; Sapiens2ImageProcessor 144, 1.6%;
# SegformerImageProcessor 2, 0.0%; SegformerImageProcessorPil 2, 0.0%; MobileNetV2ImageProcessor 2, 0.0%; the first five
# with NEAREST 2, 0.0%"
#
# Installs torch (several GB).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 transformers==5.24.0 \
  pillow==12.3.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import numpy as np
import transformers
from PIL import Image

WRONG = (
    "BeitImageProcessor",
    "BeitImageProcessorPil",
    "DPTImageProcessor",
    "DPTImageProcessorPil",
    "Sapiens2ImageProcessor",
)
RIGHT = "SegformerImageProcessor", "SegformerImageProcessorPil", "MobileNetV2ImageProcessor"
SHAPE, CLASSES = (96, 128), (0, 149)
rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
DISK = np.hypot(rows - 48, columns - 64) < 25
MAP = np.where(DISK, CLASSES[1], CLASSES[0]).astype(np.uint8)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)


def labels(name, **options):
    processor = getattr(transformers, name)()
    return np.asarray(processor(IMAGE, segmentation_maps=MAP, return_tensors="np", **options)["labels"][0])


def invented(found):
    """Number of classes, and share of pixels of classes that are not in the map."""
    return len(np.unique(found)), 100 * (~np.isin(found, CLASSES)).mean()


found = {name: invented(labels(name)) for name in WRONG + RIGHT}
nearest = {name: invented(labels(name, resample=Image.Resampling.NEAREST)) for name in WRONG}
listed = "; ".join(f"{name} {count}, {share:.1f}%" for name, (count, share) in found.items())
plain = " and ".join(sorted({f"{count}, {share:.1f}%" for count, share in nearest.values()}))
print(
    f"classes of a map of {len(CLASSES)} classes, and pixels of other classes: {listed}; "
    f"the first five with NEAREST {plain}"
)
assert all(found[name] == (2, 0) for name in RIGHT) and all(value == (2, 0) for value in nearest.values())
assert all(found[name][0] > 20 and found[name][1] > 0.5 for name in WRONG)
PY
