"""
Bring your own parts
====================

Models are composed of parts, and any of them can be yours: a stem, a norm, an encoder of PyTorch
layers, a fusion that updates the streams. A part that lacks a required attribute raises an error
that names it. :doc:`/guide/own_fusion` writes a fusion in a separate file, checks it, and tries it
in a recipe.
"""

# %%
# A convolutional stem
# --------------------
#
# :class:`~avblocks.nn.vit.ViT` takes any patch embedding with the attributes ``dim``, ``patch`` and
# ``channels`` and the method ``grid``. With a mask, it also receives ``ids_keep``, the indices of
# the visible patches. A stem with overlapping receptive fields computes all patches, then selects
# the visible ones:

import torch
from torch import nn

from avblocks import Block, LayerScale, SinCosPosition, SwiGLU, ViT
from avblocks.nn import gather_tokens


class Stem(nn.Module):
    """Two convolutions, together of stride 8."""

    def __init__(self, dim):
        super().__init__()
        self.dim, self.patch, self.channels = dim, (8, 8), 3
        self.conv1 = nn.Conv2d(3, dim, kernel_size=4, stride=4)
        self.conv2 = nn.Conv2d(dim, dim, kernel_size=3, stride=2, padding=1)

    def grid(self, x):
        return x.shape[2] // 8, x.shape[3] // 8

    def forward(self, x, *, ids_keep=None):
        tokens = self.conv2(self.conv1(x).relu()).flatten(2).transpose(1, 2)
        return tokens if ids_keep is None else gather_tokens(tokens, ids_keep)


# %%
# :class:`~avblocks.nn.block.Block` builds the usual norms, attention and MLP where none are given.
# ``Attention(dim, num_heads=..., q_norm=..., k_norm=...)`` normalizes queries and keys, and
# ``post_norm=True`` moves the norms after the residuals. Prefix tokens, such as a class token and
# registers, precede the patches in the blocks:


def modern_block(dim):
    return Block(
        dim,
        num_heads=4,
        norm1=nn.RMSNorm(dim),
        norm2=nn.RMSNorm(dim),
        mlp=SwiGLU(dim),
        ls1=LayerScale(dim),
        ls2=LayerScale(dim),
    )


image = ViT(
    patch_embed=Stem(64),
    pos_embed=SinCosPosition(64, grid=(4, 4)),
    blocks=[modern_block(64) for _ in range(2)],
    norm=nn.RMSNorm(64),
    prefix_tokens=5,  # a class token and four registers
)
image(torch.rand(2, 3, 32, 32)).shape  # 5 prefix tokens and 16 patches

# %%
# Masks never remove prefix tokens, and prefix tokens are not part of the patch grid or of maps. An
# encoder returns them separately:

from avblocks import AVEncoder, FusionBlock, TokenFusion, vit


def fusion_blocks(count):
    return [FusionBlock(64, interaction=TokenFusion(64, num_heads=4)) for _ in range(count)]


audio = vit(64, depth=2, num_heads=4, size=(32, 48), channels=1)
encoder = AVEncoder(image=image, audio=audio, fusion=fusion_blocks(2), num_tokens=8)
out = encoder(image=torch.rand(2, 3, 32, 32), audio=torch.rand(2, 1, 32, 48))
out.image.shape, out.image_prefix.shape

# %%
# A video encoder from PyTorch layers
# -----------------------------------
#
# A :class:`~avblocks.nn.stream.Stream` is a module with five attributes: ``dim``, ``grid``,
# ``embed``, ``blocks`` and ``norm``. Each block is called with the tokens and, in fusion layers,
# with the fusion tokens as ``context``. Here PyTorch's layer attends to both, and the block returns
# the part of its output that belongs to the tokens. For :func:`~avblocks.av_mae` a stream also
# needs ``patch``, ``channels`` and ``usual_grid``:


class TorchBlock(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            dim, nhead=4, dropout=0.0, batch_first=True, norm_first=True
        )

    def forward(self, x, *, context=None):
        both = x if context is None else torch.cat((context, x), dim=1)
        return self.layer(both)[:, -x.shape[1] :]


class Video(nn.Module):
    patch, channels, usual_grid = (2, 16, 16), 3, (2, 2, 2)

    def __init__(self, dim, *, depth):
        super().__init__()
        self.dim = dim
        self.tubes = nn.Conv3d(3, dim, kernel_size=self.patch, stride=self.patch)
        self.position = nn.Parameter(0.02 * torch.randn(8, dim))
        self.blocks = nn.ModuleList(TorchBlock(dim) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def grid(self, x):
        return tuple(side // p for side, p in zip(x.shape[2:], self.patch, strict=True))

    def embed(self, x, *, ids_keep=None):
        tokens = self.tubes(x).flatten(2).transpose(1, 2) + self.position
        return tokens if ids_keep is None else gather_tokens(tokens, ids_keep)


encoder = AVEncoder(image=Video(64, depth=2), audio=audio, fusion=fusion_blocks(2), num_tokens=8)

# %%
# It can be pre-trained like any other:

from avblocks import RandomMask, TubeMask, av_mae

mae = av_mae(encoder, dim=32, depth=1, num_heads=4)
loss = mae(
    image=torch.rand(2, 3, 4, 32, 32),  # four frames
    audio=torch.rand(2, 1, 32, 48),
    image_mask=TubeMask(RandomMask(0.5))((2, 2, 2), batch=2),
    audio_mask=RandomMask(0.5)((2, 3), batch=2),
).loss
loss.backward()
print(f"loss {loss.item():.2f}")

# %%
# Layer-wise learning rates follow the layers of the encoder, independent of the names of its
# parameters:

from avblocks.optim import layer_decay_groups

layers = encoder.param_layers()
for name in ("image.position", "image.blocks.1.layer.norm1.weight", "audio.norm.weight"):
    print(f"layer {layers[name]}  {name}")
print(len(layer_decay_groups(encoder, encoder="", lr_decay=0.5)), "groups")

# %%
# A ViT with tube patches needs no such class: ``av_vit(..., image_size=(4, 224, 224), patch=(2, 16,
# 16))`` builds an audio-video encoder.
#
# A fusion that updates the streams
# ---------------------------------
#
# An interaction returns an update of the fusion tokens, and the streams then read the fusion
# tokens. A fusion that also updates the streams is a subclass of
# :class:`~avblocks.fusion.layer.FusionLayer`. It receives all tokens of the layer and the blocks of
# the two streams. In this bottleneck, the block of each stream attends to the bottleneck and to its
# own tokens, and the average of the updates from both streams is added to the bottleneck:

from dataclasses import replace

from avblocks import CrossAttention, FusionLayer, av_vit


class Bottleneck(FusionLayer):
    def __init__(self, dim, *, num_heads):
        super().__init__()
        self.image_write = CrossAttention(dim, num_heads=num_heads)
        self.audio_write = CrossAttention(dim, num_heads=num_heads)

    def forward(self, tokens, *, image, audio):
        new, writes = {}, []
        for name, x, block, write in (
            ("image", tokens.image, image, self.image_write),
            ("audio", tokens.audio, audio, self.audio_write),
        ):
            if x is not None:  # a modality may be missing
                writes.append(write(tokens.fusion, x))
                new[name] = x if block is None else block(x, context=tokens.fusion)
        return replace(tokens, **new, fusion=tokens.fusion + sum(writes) / len(writes))


sizes = {"image_size": 32, "audio_size": (32, 48), "depth": 2, "num_heads": 4}
encoder = av_vit(64, fusion=Bottleneck, num_tokens=(8,), fusion_layers=[1], **sizes).eval()
image, audio = torch.rand(2, 3, 32, 32), torch.rand(2, 1, 32, 48)
encoder(image=image, audio=audio).fusion.shape, encoder(image=image, audio=None).audio

# %%
# A builder calls your class with the width and those of ``num_heads``, ``num_tokens``,
# ``attn_ratio``, ``mlp_ratio`` and ``drop_path`` that its signature has. With a method ``flops``,
# :func:`~avblocks.flops.encoder_flops` counts it; with a method ``attention``,
# :func:`~avblocks.heads.fusion_map.fusion_map` shows it.
# :func:`~avblocks.checkpoint.pretrained.save_pretrained` rebuilds models from the builders of this
# library, so it refuses your model with a message that says how to save it:

from avblocks.checkpoint import save_pretrained

try:
    save_pretrained(encoder, "runs/encoder")
except ValueError as refusal:
    print(refusal)

# %%
# Padding and missing modalities
# ------------------------------
#
# ``image_valid`` and ``audio_valid`` mark the patches that are not padding or, with one boolean per
# sample, the samples that have the modality. Invalid patches do not change the output:

from avblocks import valid_until

encoder = av_vit(64, **sizes).eval()
columns = valid_until(torch.tensor([3, 2]), grid=encoder.audio.usual_grid)  # in time
padded = encoder(image=image, audio=audio, audio_valid=columns)

has_audio = torch.tensor([True, False])
out = encoder(image=image, audio=audio, audio_valid=has_audio)
alone = encoder(image=image[1:], audio=None)
torch.testing.assert_close(out.fusion[1:], alone.fusion)
print(f"largest difference {(out.fusion[1:] - alone.fusion).abs().max().item():.1e}")

# %%
# :class:`~avblocks.mae.AVMAE` takes the same arguments: it neither encodes invalid patches nor
# counts them in the loss. To support such batches, your own blocks and fusions take an argument
# ``valid``. Next: :ref:`sphx_glr_auto_tutorials_04_zoo.py`.
