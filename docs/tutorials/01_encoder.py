"""
From blocks to an encoder
=========================

Classes take built parts, and functions in lower case build the usual parts from numbers. This
tutorial puts an audio-visual encoder together from blocks, and then builds one like it in one
line.
"""

# %%
# A fusion block
# --------------
#
# *Fusion tokens* run in parallel to the tokens of image and audio, and attend to both. An
# *interaction* computes their update; :class:`~avblocks.FusionBlock` adds norms, a residual and an
# MLP. It works in any model that has tokens of two modalities.

import torch

from avblocks import DenseFusion, FusionBlock

block = FusionBlock(64, interaction=DenseFusion(64, num_heads=4))
fusion, image, audio = torch.rand(2, 8, 64), torch.rand(2, 196, 64), torch.rand(2, 96, 64)
block(fusion, image=image, audio=audio).shape  # samples, fusion tokens, width

# %%
# Modalities are keyword-only everywhere, so that they cannot be swapped by mistake. Dense fusion
# attends to all 196 x 96 *pairs* of an image and an audio token, and never forms a pair:
# :doc:`/guide/fusion` has the proof. The attention of each fusion token over the image is a
# distribution:

weights = block.attention(fusion, image=image, audio=audio)
weights.image.shape, weights.image.sum(dim=-1).unique().detach()

# %%
# Two streams
# -----------
#
# :func:`~avblocks.vit` builds the usual ViT from numbers. The one for images has patches of 8 x 8
# pixels:

from avblocks import vit

image_vit = vit(64, depth=2, num_heads=4, size=32, patch=8)
image_vit(torch.rand(2, 3, 32, 32)).shape

# %%
# An unusual model needs other parts, not more options. The ViT for spectrograms gets learned
# positions, tall patches, and blocks with different numbers of heads and drop path rates:

from torch import nn

from avblocks import Block, LearnedPosition, PatchEmbed, ViT

audio_vit = ViT(
    patch_embed=PatchEmbed(64, patch=(32, 4), channels=1),
    pos_embed=LearnedPosition(64, grid=(1, 12)),
    blocks=[
        Block(64, num_heads=heads, drop_path=drop) for heads, drop in ((2, 0.0), (4, 0.1), (8, 0.2))
    ],
    norm=nn.LayerNorm(64, eps=1e-6),
)
audio_vit(torch.rand(2, 1, 32, 48)).shape

# %%
# The encoder
# -----------
#
# :class:`~avblocks.AVEncoder` joins two streams. ``fusion`` has a block, or ``None``, for each
# layer; here the second of three layers has fusion. The image ViT has only two blocks: its tokens
# stay unchanged in the third layer.

from avblocks import AVEncoder

encoder = AVEncoder(
    image=image_vit,
    audio=audio_vit,
    fusion=[None, FusionBlock(64, interaction=DenseFusion(64, num_heads=4)), None],
    num_tokens=10,
)
image, audio = torch.rand(2, 3, 32, 32), torch.rand(2, 1, 32, 48)
out = encoder(image=image, audio=audio)
{name: tuple(tokens.shape) for name, tokens in vars(out).items() if tokens is not None}

# %%
# In a layer with fusion, all three streams are updated from the tokens *before* that layer
# (:doc:`/guide/fusion`). :mod:`avblocks.diagram` draws a model from its modules:

from pathlib import Path

from avblocks.diagram import architecture

Path("runs").mkdir(exist_ok=True)
Path("runs/encoder.svg").write_text(architecture(encoder), encoding="utf-8")

# %%
# A missing modality
# ------------------
#
# Pass ``None`` for a modality that the whole batch lacks. Its stream in the output is ``None``, and
# the fusion tokens read only the other modality. In its place, token fusion has no keys, dense
# fusion one token of zeros, and factorized fusion zeros as its aggregates. (If only some samples
# lack it: :ref:`sphx_glr_auto_tutorials_03_own_parts.py`.)

out = encoder(image=image, audio=None)
out.audio, out.fusion.shape

# %%
# The same in one line
# --------------------
#
# :func:`~avblocks.av_vit` builds a usual encoder. ``fusion`` is ``"token"``, ``"dense"`` or
# ``"factorized"`` (the default, as in the released models), or your own class; ``fusion_layers`` is
# ``"all"``, ``"none"`` or a list.

from avblocks import av_vit

sizes = {"depth": 4, "num_heads": 4, "patch": 8, "image_size": 32, "audio_size": (32, 48)}
encoder = av_vit(64, fusion="dense", fusion_layers=[1, 3], num_tokens=(8, 4, 4), **sizes)
print("fusion layers:", *encoder.fusion_blocks)
encoder(image=image, audio=audio).fusion.shape

# %%
# The models of the paper are :func:`~avblocks.av_vit_base` and so on. On the device "meta" a model
# of any size takes no memory, which is enough to count its parameters and operations:

from avblocks import av_vit_base
from avblocks.flops import encoder_flops

for name in ("token", "dense", "factorized"):
    with torch.device("meta"):
        model = av_vit_base(fusion=name)
    flops = encoder_flops(model, image=196, audio=96)  # tokens
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{name:10}  {parameters / 1e6:.0f} M parameters, {flops / 1e9:.0f} GFLOPs per clip")

# %%
# Next: :ref:`sphx_glr_auto_tutorials_02_pretrain_and_probe.py`.
