#!/usr/bin/env bash
# timm: a VisionTransformer with mlp_layer=SwiGLUPacked has GELU gates, unless act_layer is given too.
#
# timm 1.0.31, torch 2.14.1. `SwiGLUPacked(64, 128)` gates with SiLU, as its name says: it is a partial of GluMlp with
# act_layer=SiLU. One would guess that mlp_layer=SwiGLUPacked makes a ViT with SwiGLU, as of DINOv2 giant. Each block
# passes the act_layer of the model, GELU by default, to its MLP, which replaces the SiLU of the partial. Names and
# shapes of the weights are equal, so that a checkpoint of one loads into the other, strictly, with other outputs.
# timm's own models pass act_layer="silu" beside it.
# Seen: "alone SiLU, in a ViT GELU, with act_layer=SiLU SiLU; same names True; outputs differ by 0.06"
#
# Installs torch (several GB).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.14.1 timm==1.0.31
"$folder/venv/bin/python" - <<'PY'
import torch
from timm.layers import SwiGLUPacked
from timm.models.vision_transformer import VisionTransformer
from torch import nn

torch.manual_seed(0)
sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 2, "num_heads": 1, "mlp_layer": SwiGLUPacked}
plain, told = VisionTransformer(**sizes).eval(), VisionTransformer(**sizes, act_layer=nn.SiLU).eval()
with torch.no_grad():
    for parameter in plain.parameters():
        parameter.normal_(0, 0.2)
same = list(plain.state_dict()) == list(told.state_dict())
told.load_state_dict(plain.state_dict())
image = torch.randn(1, 3, 32, 32)
with torch.no_grad():
    apart = (plain.forward_features(image) - told.forward_features(image)).abs().max().item()
alone, inside, given = (
    type(mlp.act).__name__ for mlp in (SwiGLUPacked(64, 128), plain.blocks[0].mlp, told.blocks[0].mlp)
)
print(f"alone {alone}, in a ViT {inside}, with act_layer=SiLU {given}; same names {same}; outputs differ by {apart:.2f}")
assert (alone, inside, given, same) == ("SiLU", "GELU", "SiLU", True) and apart > 0.01
PY
