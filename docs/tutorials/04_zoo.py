"""
The zoo: published models
=========================

:func:`avblocks.zoo.load` builds a published model with the sizes in its file, and reports on every
name in it. The model consists of the blocks of this library, so it can be fused, pre-trained and
probed.
"""

# %%
# Files
# -----
#
# Published weights are not part of this repository. This function writes a file in place of a
# download: random weights with the names and shapes of a published model, but only two blocks.

from pathlib import Path

import torch
from safetensors.torch import save_file


def stand_in(path, *, dim, channels, patch, patches, more=()):
    """Write random weights under the names of MAE's files."""
    shapes = {
        "cls_token": (1, 1, dim),
        "pos_embed": (1, patches + 1, dim),
        "patch_embed.proj.weight": (dim, channels, patch, patch),
        "patch_embed.proj.bias": (dim,),
        "norm.weight": (dim,),
        "norm.bias": (dim,),
        **dict(more),
    }
    layers = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
    for block in ("blocks.0", "blocks.1"):
        for layer, (rows, columns) in layers.items():
            shapes[f"{block}.{layer}.weight"] = (rows * dim, columns * dim)
            shapes[f"{block}.{layer}.bias"] = (rows * dim,)
        for norm in ("norm1", "norm2"):
            shapes |= {f"{block}.{norm}.weight": (dim,), f"{block}.{norm}.bias": (dim,)}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    save_file({name: 0.02 * torch.randn(shape) for name, shape in shapes.items()}, path)


scales = {f"blocks.{i}.ls{j}.gamma": (384,) for i in (0, 1) for j in (1, 2)}
stand_in("runs/data/dinov2.safetensors", dim=384, channels=3, patch=14, patches=37**2, more=scales)
stand_in("runs/data/audiomae.safetensors", dim=384, channels=1, patch=16, patches=512)

# %%
# Load them
# ---------
#
# ``load`` recognizes a file by its names: CAV-MAE, CAV-MAE Sync, MBT, AudioMAE, AST, EAT, MAE,
# CrossMAE, DINOv2, VideoMAE, the paper's models, and our own runs and exports. Code in a file is
# never run.

from avblocks.zoo import load

dinov2 = load("runs/data/dinov2.safetensors")
print(dinov2.kind)
print(dinov2.report)

# %%
# An encoder of one modality is a :class:`~avblocks.Stream`. DINOv2 was trained at 518 pixels; its
# positions are resized to the image that you give:

image = torch.rand(1, 3, 224, 224)
dinov2.encoder(image).shape  # class token, and 16 x 16 patches

# %%
# A tensor that the model does not use raises an error that names it, unless you allow it to be
# dropped:

stand_in(
    "runs/data/odd.safetensors",
    dim=384, channels=3, patch=14, patches=37**2,
    more={**scales, "blocks.0.attn.gate": (384,)},
)  # fmt: skip
try:
    load("runs/data/odd.safetensors")
except ValueError as error:
    print(error)
print(load("runs/data/odd.safetensors", allow=[".gate"]).report)

# %%
# Front ends
# ----------
#
# Published weights were trained with the spectrograms of their authors. ``front_end`` computes them
# from clips, or raises an error with the reason:

audiomae = load("runs/data/audiomae.safetensors")
print(audiomae.front_end.format)

# %%
# Join two published encoders
# ---------------------------
#
# Two encoders that were trained separately become the streams of an audio-visual encoder. Its
# fusion is not trained yet:

from avblocks import AVEncoder, FactorizedFusion, FusionBlock

fusion = [
    FusionBlock(384, interaction=FactorizedFusion(384, num_heads=6, num_tokens=(16, 8, 8)))
    for _ in range(2)
]
encoder = AVEncoder(image=dinov2.encoder, audio=audiomae.encoder, fusion=fusion, num_tokens=32)
out = encoder(image=image, audio=torch.rand(1, 1, 128, 192))
{name: tuple(tokens.shape) for name, tokens in vars(out).items() if tokens is not None}

# %%
# Published fusions
# -----------------
#
# The builders make the published audio-visual models from numbers, at any size. They are encoders
# like any other: :func:`~avblocks.av_mae`, the heads and the tasks take them.

from avblocks.zoo import cavmae_encoder, mbt_encoder

audio = torch.rand(2, 1, 32, 48)
sizes = {"num_heads": 4, "audio_size": (32, 48)}
cavmae = cavmae_encoder(64, depth=1, image_size=32, patch=8, **sizes)
mbt = mbt_encoder(64, depth=2, fusion_layer=1, image_size=(2, 32, 32), patch=(1, 8, 8), **sizes)
for encoder, image in ((cavmae, torch.rand(2, 3, 32, 32)), (mbt, torch.rand(2, 3, 2, 32, 32))):
    out = encoder(image=image, audio=audio)
    print(tuple(out.image.shape), tuple(out.audio.shape))

# %%
# :doc:`/zoo` compares these methods at equal size and data, and :doc:`/reference/zoo` lists all
# builders.
#
# In a recipe
# -----------
#
# The recipes take a published file as ``--checkpoint``, with the sizes in it:
#
# .. code-block:: bash
#
#    python -m recipes.paper_finetune vggsound --data.root DIR --checkpoint deepavfusion.pth
#
# Next: :ref:`sphx_glr_auto_tutorials_05_localize_and_listen.py`.
