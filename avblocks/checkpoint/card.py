"""The model card of an exported encoder."""

from collections.abc import Mapping
from typing import Any

from avblocks import AVEncoder
from recipes.common.data import Data

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
from avblocks.data import FrontEnd

encoder = from_pretrained(".")  # the folder of this file
front_end = FrontEnd(rate={data.rate}, n_mels={mels})

pictures = torch.randint(256, (2, 3, {data.size}, {data.size}), dtype=torch.uint8)
sounds = torch.rand(2, round({data.rate} * {data.seconds})) - 0.5
with torch.inference_mode():
    tokens = encoder(
        image=front_end.normalize(pictures), audio=front_end.log_mel(sounds)
    )
tokens.fusion.mean(dim=1)  # one vector a clip
```
"""


def card(encoder: AVEncoder, facts: Mapping[str, Any], *, data: Data, step: int) -> str:
    """Write the model card of an encoder.

    Args:
        encoder: The encoder.
        facts: What the run folder says of itself.
        data: How the clips were read.
        step: Optimiser steps behind it.
    """
    model, mels_frames = facts["config"]["model"], " x ".join(map(str, data.audio_size))
    clips = facts.get("clips", {}).get("train", {}).get("on_disk")
    rows = {
        "recipe": facts["recipe"],
        "optimiser steps": f"{step:,}",
        "data set": data.name if clips is None else f"{data.name}, {clips:,} clips to train on",
        "pictures": f"{data.size} x {data.size}",
        "sounds": f"{data.seconds:g} s at {data.rate:,} Hz: {mels_frames} mel bins and frames",
        "parameters": f"{sum(p.numel() for p in encoder.parameters()):,}",
        **{name: model[name] for name in ("dim", "depth", "heads", "patch", "fusion")},
        **{name: model[name] for name in ("fusion_layers", "num_tokens")},
        "versions": ", ".join(f"{k} {v}" for k, v in facts.get("versions", {}).items()),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return _CARD.format(table=table, data=data, mels=data.audio_size[0])
