"""
Pre-train and probe
===================

Masked audio-visual pre-training in a plain PyTorch loop, and two probes of what it learned:
leave-one-out 1-NN accuracy, and a linear classifier. The parts are the same as in ``python -m
recipes.paper_pretrain`` and ``python -m recipes.paper_linear_probe``, which train for minutes and
reach far more.
"""

# %%
# Clips
# -----
#
# Scenes are synthetic clips of moving shapes, some of them sounding and some silent. There are
# twelve classes, each a pair of a timbre and an appearance.

import torch

from avblocks.data import ClipDataset, ClipFormat
from avblocks.data.scenes import SceneSpec, scenes

spec = SceneSpec(seconds=1.0, size=48)
train, test = (
    scenes("runs/data", split=split, num_clips=count, spec=spec)
    for split, count in (("train", 96), ("test", 72))
)
print(train.report())
print(test.report())
print(*train.classes, sep=", ")

# %%
# A :class:`~avblocks.data.ClipFormat` is the input format of a model. A sample of a
# :class:`~avblocks.data.ClipDataset` is a batch of one clip, and depends only on seed, epoch and
# index.

format = ClipFormat(seconds=0.75, size=48, mels=32)
dataset = ClipDataset(train, format, train=True)
clip = dataset[0]
clip.image.shape, clip.audio.shape, clip.target.argmax().item()

# %%
# Model
# -----
#
# :class:`~avblocks.tasks.Pretraining` is a module from a batch of clips to its losses: the front
# end crops and normalizes images and computes spectrograms, the masks are drawn, and the masked
# autoencoder predicts the masked patches. The decoders see the tokens of the visible patches, mask
# tokens and fusion tokens.

from avblocks import av_mae, av_vit
from avblocks.data import FrontEnd
from avblocks.tasks import Pretraining

encoder = av_vit(
    64, depth=2, num_heads=4, patch=8, image_size=48, audio_size=(32, 48), num_tokens=(4, 2, 2)
)
mae = av_mae(encoder, dim=32, depth=1, num_heads=4, normalize_targets=False)
task = Pretraining(mae, front_end=FrontEnd(format))
print(f"{sum(p.numel() for p in task.parameters()) / 1e6:.2f} M parameters")

# %%
# Targets are not normalized here: that would remove the color of a uniform patch, and colors tell
# the classes of scenes apart.
#
# Training
# --------
#
# The task draws the masks of each sample from the seed of the sample. On a GPU, use
# ``task.to("cuda")`` and ``batch.to("cuda")``.

from torch.utils.data import DataLoader

from avblocks.optim import param_groups
from avblocks.tasks import ProbeScorer, evaluate

optimizer = torch.optim.AdamW(param_groups(task, weight_decay=0.05), lr=2e-3, betas=(0.9, 0.95))
test_loader = DataLoader(ClipDataset(test, format, train=False), batch_size=32)
before = evaluate(ProbeScorer(task), test_loader)["nn"]

for epoch in range(6):
    dataset.set_epoch(epoch)  # new crops, gains and masks
    losses = []
    for batch in DataLoader(dataset, batch_size=16, shuffle=True):
        loss = task(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"epoch {epoch + 1}  loss {sum(losses) / len(losses):.2f}")

# %%
# Only visible patches pass through the encoder. :func:`~avblocks.reconstruct` puts predictions in
# the place of the masked patches, and :func:`~avblocks.tasks.reconstruction_examples` does so for a
# batch of clips:

from avblocks.tasks import evaluation_mode, reconstruction_examples
from avblocks.viz import panel, save_figure

batch = next(iter(test_loader))[:3]
with evaluation_mode(task):
    save_figure(panel(reconstruction_examples(task, batch)), "runs/reconstruction.png")

# %%
# Leave-one-out 1-NN accuracy
# ---------------------------
#
# This is the share of clips whose nearest other clip, by the mean of the tokens, has the same
# class. It needs no training. :func:`~avblocks.tasks.evaluate` is the evaluation loop of all
# scorers: it handles evaluation mode, gradients, skipped files and several processes. Chance is 8%.

after = evaluate(ProbeScorer(task), test_loader)["nn"]
for name in after:
    print(f"{name:20} {before[name]:5.1f}% before, {after[name]:5.1f}% after")

# %%
# Linear probe
# ------------
#
# A classifier on the frozen encoder. :func:`~avblocks.tasks.encode_once` passes each clip through
# the encoder once, for all epochs of the training.

from pathlib import Path

from avblocks.data import collate
from avblocks.heads import classifier
from avblocks.tasks import Classification, ClassificationScorer, encode_once

head = classifier(64, num_classes=len(train.classes))
probe = Classification(encoder, head, front_end=FrontEnd(format), frozen=True)
plain = ClipDataset(train, format, train=True, augment=False)
features = encode_once(
    probe, DataLoader(plain, batch_size=32, collate_fn=collate), folder=Path("runs/features")
)
optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2)
for _ in range(40):
    for batch in DataLoader(features, batch_size=32, shuffle=True, collate_fn=collate):
        loss = probe(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(f"training loss {loss.item():.2f}")

# %%
# The probe is tested with both modalities, and with each alone. Audio alone cannot exceed 33%:
# three classes share each timbre.

scorer = ClassificationScorer(probe, given=("both", "image", "audio"))
for row, scores in evaluate(scorer, test_loader).items():
    print(f"{row:32} {scores['top1']:5.1f}%")

# %%
# :doc:`/classification` has the results of the recipes, over three seeds. Next:
# :ref:`sphx_glr_auto_tutorials_03_own_parts.py`.
