"""
Your own videos, end to end
===========================

From a folder of videos to a classifier, its predictions on a long video, and an export that
others can load. The commands are those of the recipes, with a small model and few epochs;
:doc:`/guide/own_video` has all of their options.
"""

# %%
# The videos
# ----------
#
# Each direct sub-folder is a class. Here they are synthetic: shapes that sound like bells or like
# shakers.

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from avblocks.data import write_clip
from avblocks.data.scenes import SceneSpec, render

spec = SceneSpec(seconds=2.0, size=64)
shutil.rmtree("runs/data", ignore_errors=True)
found = {"bell": [], "shaker": []}
for index in range(60):  # solos, twelve classes in turn
    kind = {0: "bell", 3: "shaker"}.get(index % 12 // 3)
    if kind:
        found[kind].append(render(index, split="test", spec=spec))
for kind, clips in found.items():
    for number, scene in enumerate(clips):
        path = Path(f"runs/data/{kind}/{number:02}.mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, frames=scene.frames, audio=scene.audio, fps=spec.fps, rate=spec.rate)
print({kind: len(clips) for kind, clips in found.items()})

# %%
# Check them
# ----------
#
# Every file is decoded once. If one cannot be used, the exit code is 1, and ``health.csv`` has the
# reason.


def recipe(command):
    """Run a recipe, and print what it says."""
    print("$ python -m", command, flush=True)
    done = subprocess.run([sys.executable, "-m", *command.split()], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    print(*lines[:14], *(["..."] if len(lines) > 14 else []), sep="\n")
    assert done.returncode == 0, done.stderr


recipe("recipes.check_data folder --data.root runs/data --data.seconds 1 --run.dir runs/check")

# %%
# Train a classifier
# ------------------
#
# A fifth of each class is held out for testing, chosen by a hash of the file names. ``--checkpoint
# None`` starts from random weights. With a checkpoint of ``paper_pretrain`` or a published file,
# the options of the sizes are not needed.

recipe(
    "recipes.paper_finetune scenes --data.name class_folder --data.root runs/data "
    "--checkpoint None --model.dim 64 --model.depth 2 --batch 8 --epochs 6 --warmup 1 "
    "--evaluate-every 3 --data.workers 0 --run.dir runs/my_classes"
)

# %%
# ``README.txt`` in the run folder explains its files. ``--run.resume`` continues a stopped run.

print(*sorted(path.name for path in Path("runs/my_classes").iterdir()), sep=", ")

# %%
# Predict on a long video
# -----------------------
#
# A video of any length, here a bell, a shaker and another bell:

parts = [found["bell"][0], found["shaker"][1], found["bell"][2]]
write_clip(
    "runs/data/street.mp4",
    frames=np.concatenate([part.frames for part in parts]),
    audio=np.concatenate([part.audio for part in parts]),
    fps=spec.fps,
    rate=spec.rate,
)
recipe(
    "recipes.predict runs/data/street.mp4 --checkpoint runs/my_classes --out runs/predict --hop 0.5"
)

# %%
# In Python
# ---------
#
# An export is a folder of safetensors and JSON that loads without the run. It includes the front
# end, with the input format of the model.

from avblocks.checkpoint import from_pretrained

recipe("recipes.export --checkpoint runs/my_classes --out runs/export")
model = from_pretrained("runs/export")
print(model.front_end.format)

# %%
# :mod:`avblocks.video` reads a video in one pass, with one batch of windows in memory:

import torch

from avblocks.video import open_windows

windows = open_windows(
    "runs/data/street.mp4", model.front_end.format, hop=8000
)  # every half second
for batch in windows.batches(4):
    image, audio = model.front_end(batch.to_batch())
    with torch.inference_mode():
        logits = model.head(model.encoder(image=image, audio=audio)).mean
    for row in logits.softmax(dim=1):
        print(*(f"{name} {p:4.0%}" for name, p in zip(model.task["classes"], row, strict=True)))

# %%
# Either modality may be missing:

with torch.inference_mode():
    alone = model.encoder(image=None, audio=audio)
print(alone.image, alone.fusion.shape)

# %%
# Draw over the video, one overlay per window: here images are darker where the audio is quieter.

from avblocks.video import make_overlay, video_size, write_overlay

volume = torch.cat([batch.audio.abs().mean(dim=1) for batch in windows.batches()])
volume, size = volume / volume.max(), video_size("runs/data/street.mp4")
overlays = [
    (until, make_overlay(lambda images, v=v: v * images, size))
    for until, v in zip(windows.nearest_until, volume, strict=True)
]
write_overlay("runs/data/street.mp4", "runs/volume.mp4", overlays)

# %%
# Process the audio window by window, and join the results without seams: here each window at half
# its volume.

from avblocks.data import write_wave
from avblocks.video import overlap_add

outputs = (0.5 * row[None] for batch in windows.batches() for row in batch.audio)
pieces = overlap_add(outputs, starts=windows.starts, num_samples=windows.num_samples)
write_wave("runs/quiet.wav", torch.cat(list(pieces), dim=1)[0], rate=windows.format.rate)

# %%
# Next: :ref:`sphx_glr_auto_tutorials_07_own_loop.py`.
