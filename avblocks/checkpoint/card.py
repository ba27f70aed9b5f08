"""Model card of an exported model."""

from collections.abc import Mapping
from typing import Any

from avblocks.data import ClipFormat
from avblocks.encoder import AVEncoder

_CARD = """---
library_name: avblocks
license: {license}
tags:
- audio-visual
- masked-autoencoder
---

# An audio-visual early-fusion {what}

Two ViTs, for images and audio, with fusion tokens that read both and are read by both
(DeepAVFusion, arXiv 2312.01017), trained and exported with avblocks.

| | |
| --- | --- |
{table}

The license is that of the weights, as given when they were exported; avblocks itself is under
Apache-2.0.

## Scores

{scores}

## Use

The encoder takes normalized images and log-mel spectrograms, which its front end computes:

```python
import torch
from avblocks.checkpoint import from_pretrained

model = from_pretrained(".")  # the folder of this file
encoder, front_end = model.encoder, model.front_end

image = torch.randint(256, (2, 3, {format.size}, {format.size}), dtype=torch.uint8)
audio = torch.rand(2, {format.samples}) - 0.5
with torch.inference_mode():
    tokens = encoder(image=front_end.normalize(image), audio=front_end.log_mel(audio))
tokens.fusion.mean(dim=1)  # one vector per clip
```
{task}"""
_TASK = """
Encoder, front end and head form a module that takes batches of clips:

```python
from avblocks.tasks import load_task

loaded = load_task(".")
task, classes, format = loaded.task, loaded.classes, loaded.format
```
"""


def card(
    encoder: AVEncoder,
    run_config: Mapping[str, Any],
    *,
    format: ClipFormat,
    step: int,
    task: Mapping[str, Any] | None = None,
    license: str = "unknown",
    scores: Mapping[str, float] | None = None,
    tested: str = "",
) -> str:
    """Write the model card of an encoder, or of an encoder with the head of a task.

    Args:
        encoder: The encoder.
        run_config: The ``config.json`` of the run folder.
        format: The clip format of the encoder.
        step: Number of optimizer steps in training.
        task: Rows about the task, if its head is exported too.
        license: License of the weights, as the Hugging Face Hub names it, such as ``cc-by-4.0``.
        scores: Scores of the model by name; none if it was not tested.
        tested: The data of the scores, in words.
    """
    model, name = run_config["config"]["model"], run_config["config"]["data"]["name"]
    mels_frames = " x ".join(map(str, format.audio_size))
    clips = run_config.get("clips", {}).get("train", {}).get("on_disk")
    rows = {
        "recipe": run_config["recipe"],
        **(task or {}),
        "optimizer steps": f"{step:,}",
        "license": license,
        "data set": name if clips is None else f"{name}, {clips:,} training clips",
        "image": f"{format.size} x {format.size}",
        "audio": f"{format.seconds:g} s at {format.rate:,} Hz: {mels_frames} mel bins and frames",
        "parameters of the encoder": f"{sum(p.numel() for p in encoder.parameters()):,}",
        **{name: model[name] for name in ("dim", "depth", "heads", "patch", "fusion")},
        **{name: model[name] for name in ("fusion_layers", "num_tokens")},
        "versions": ", ".join(f"{k} {v}" for k, v in run_config.get("versions", {}).items()),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    what = f"model for {task['task']}" if task else "encoder"
    parts = {"table": table, "license": license, "scores": _scores(scores or {}, tested)}
    return _CARD.format(what=what, format=format, task=_TASK if task else "", **parts)


def _scores(scores: Mapping[str, float], tested: str) -> str:
    if not scores:
        return "The export has no scores: the model was not tested after its last step."
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in scores.items())
    return f"Measured on {tested}.\n\n| score | value |\n| --- | --- |\n{rows}"
