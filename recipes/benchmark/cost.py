"""Cost estimates of the pre-training runs of the paper: disk, memory, and GPU-hours."""

from typing import Any

import torch

from avblocks import AVMAE
from avblocks.flops import mae_flops
from recipes.common.data_settings import Data
from recipes.common.model import Model, build_autoencoder

EPOCHS, GPUS = 200, 8
RUNS: dict[str, tuple[int, Model]] = {
    "VGGSound": (184_000, Model()),
    "AudioSet-2M": (2_041_789, Model(attn_ratio=1.0, mlp_ratio=4.0)),
}
"""Published numbers of training clips (VGGSound: rounded, some are no longer online), and sizes."""
PAPER_SHARE, PAPER_PEAK = 0.45, 790e12
"""Assumptions for estimates: this fraction of the bfloat16 peak of an H200."""
VIDEO_MB, SHARD_MB = 1.0, 0.5
"""Assumptions for the disk space of a clip of ten seconds: 360p video, and a clip in shards."""
STATE_BYTES = 16
"""Weight, gradient and the two moments of AdamW of a parameter, in float32."""
_MEASURED = "pretrain factorized"


def autoencoder(model: Model) -> AVMAE:
    """Build an autoencoder without memory for its weights."""
    with torch.device("meta"):
        return build_autoencoder(model, Data(name="vggsound"))


def gflop(mae: AVMAE) -> float:
    """Count the GFLOP of a training step per sample, with 75% of image and 80% of audio masked."""
    return mae_flops(mae, image=(49, 147), audio=(19, 77), training=True) / 1e9


def cost(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Estimate disk, memory, reading speed and GPU-hours of each run.

    GPU-hours follow from the fastest factorized step measured on a GPU.

    It is assumed that the data loader is fast enough, that speed is proportional to the number of
    GPUs, and that models of other sizes run at the same FLOP/s as the measured one.
    """
    speeds = [
        row["samples_per_s"] * row["gflop_per_sample"]
        for name, row in rows.items()
        if name.startswith(_MEASURED) and "checkpointing" not in name and "error" not in row
    ]
    found: dict[str, dict[str, Any]] = {}
    for run, (clips, model) in RUNS.items():
        mae = autoencoder(model)
        each = gflop(mae)
        work = clips * EPOCHS * each / 3600
        paper = work / (PAPER_SHARE * PAPER_PEAK / 1e9)
        hours = work / max(speeds) if speeds else None
        parameters = sum(weight.numel() for weight in mae.parameters())
        found[run] = {
            "training clips": clips,
            "videos, GB": round(clips * VIDEO_MB / 1000),
            "shards, GB": round(clips * SHARD_MB / 1000),
            "weights and optimizer, GB a GPU": round(parameters * STATE_BYTES / 1e9, 1),
            "GFLOP a sample": round(each),
            f"clips/s of {GPUS} GPUs, on paper": round(
                GPUS * PAPER_SHARE * PAPER_PEAK / 1e9 / each
            ),
            "GPU-hours on paper": round(paper, 1),
            f"hours on {GPUS} GPUs, on paper": round(paper / GPUS, 1),
            "GPU-hours measured": "not measured" if hours is None else round(hours, 1),
        }
    return found
