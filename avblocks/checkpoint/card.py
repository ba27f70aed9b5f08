"""The model card of an exported encoder."""

from collections.abc import Mapping
from typing import Any

from avblocks import AVEncoder
from avblocks.data import ClipFormat

_CARD = """---
library_name: avblocks
tags:
- audio-visual
- masked-autoencoder
---

# An audio-visual early-fusion encoder

Two ViTs, of pictures and of sounds, and fusion tokens that travel beside them and feed them
(DeepAVFusion, arXiv 2312.01017), trained and exported with avblocks.

| | |
| --- | --- |
{table}

Pictures come in normalised and sounds as log-mel spectrograms, as the front end below makes them:

```python
import torch
from avblocks.checkpoint import from_pretrained
from avblocks.data import ClipFormat, FrontEnd

encoder = from_pretrained(".")  # the folder of this file
front_end = FrontEnd(ClipFormat({numbers}))

pictures = torch.randint(256, (2, 3, {format.size}, {format.size}), dtype=torch.uint8)
sounds = torch.rand(2, {format.samples}) - 0.5
with torch.inference_mode():
    tokens = encoder(
        image=front_end.normalize(pictures), audio=front_end.log_mel(sounds)
    )
tokens.fusion.mean(dim=1)  # one vector a clip
```
"""


def card(
    encoder: AVEncoder, facts: Mapping[str, Any], *, format: ClipFormat, name: str, step: int
) -> str:
    """Write the model card of an encoder.

    Args:
        encoder: The encoder.
        facts: What the run folder says of itself.
        format: How a clip looks to it.
        name: Data set that it was trained on.
        step: Optimiser steps behind it.
    """
    model, mels_frames = facts["config"]["model"], " x ".join(map(str, format.audio_size))
    clips = facts.get("clips", {}).get("train", {}).get("on_disk")
    rows = {
        "recipe": facts["recipe"],
        "optimiser steps": f"{step:,}",
        "data set": name if clips is None else f"{name}, {clips:,} clips to train on",
        "pictures": f"{format.size} x {format.size}",
        "sounds": f"{format.seconds:g} s at {format.rate:,} Hz: {mels_frames} mel bins and frames",
        "parameters": f"{sum(p.numel() for p in encoder.parameters()):,}",
        **{name: model[name] for name in ("dim", "depth", "heads", "patch", "fusion")},
        **{name: model[name] for name in ("fusion_layers", "num_tokens")},
        "versions": ", ".join(f"{k} {v}" for k, v in facts.get("versions", {}).items()),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    numbers = ", ".join(f"{name}={value}" for name, value in format.to_dict().items())
    return _CARD.format(table=table, format=format, numbers=numbers)
