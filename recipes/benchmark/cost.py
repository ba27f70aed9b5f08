"""What the paper's pre-trainings cost, on paper and from a measured step."""

from typing import Any

import torch

from avblocks.flops import mae_flops
from recipes.common.data import Data
from recipes.common.model import Model, build_autoencoder

EPOCHS, GPUS = 200, 8
RUNS: dict[str, tuple[int, Model]] = {
    "VGGSound": (184_000, Model()),
    "AudioSet-2M": (2_041_789, Model(attn_ratio=1.0, mlp_ratio=4.0)),
}
"""Clips to train on, as published, VGGSound's rounded (some have left the web since), and sizes."""
PAPER_SHARE, PAPER_PEAK = 0.45, 790e12
"""Assumed on paper: this share of what an H200's bfloat16 matrix products are said to reach."""
_MEASURED = "pretrain factorized"


def gflop(model: Model) -> float:
    """Useful GFLOP of a training step a sample, 75 % of the image and 80 % of the sound masked."""
    with torch.device("meta"):
        mae = build_autoencoder(model, Data(name="vggsound"))
    return mae_flops(mae, image=(49, 147), audio=(19, 77), training=True) / 1e9


def cost(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """GPU-hours of each run, by the fastest factorized step on a GPU if one was measured.

    The data loader is taken to keep up, and GPUs to add up. A model of other sizes is taken to run
    at as many operations a second as the one that was measured.
    """
    speeds = [
        row["samples_per_s"] * row["gflop_per_sample"]
        for name, row in rows.items()
        if name.startswith(_MEASURED) and "checkpointing" not in name and "error" not in row
    ]
    found: dict[str, dict[str, Any]] = {}
    for run, (clips, model) in RUNS.items():
        each = gflop(model)
        work = clips * EPOCHS * each / 3600
        paper = work / (PAPER_SHARE * PAPER_PEAK / 1e9)
        hours = work / max(speeds) if speeds else None
        found[run] = {
            "GFLOP a sample": round(each),
            "GPU-hours on paper": round(paper, 1),
            f"hours on {GPUS} GPUs, on paper": round(paper / GPUS, 1),
            "GPU-hours measured": "not measured" if hours is None else round(hours, 1),
        }
    return found
