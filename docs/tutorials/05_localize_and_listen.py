"""
Localize and listen
===================

Where in the image is the source of the audio, and what does it sound like alone? Two heads on the
same kind of encoder: a localizer, and a separator guided by the image. They train for seconds
here; ``python -m recipes.paper_localize`` and ``python -m recipes.paper_separate`` train for
minutes on a pre-trained encoder, and :doc:`/gallery` shows what they reach.
"""

# %%
# Clips
# -----

import torch

from avblocks import av_vit
from avblocks.data import ClipDataset, ClipFormat, FrontEnd, collate
from avblocks.data.scenes import SceneSpec, scenes

spec = SceneSpec(seconds=1.0, size=48, min_silent=0, max_silent=1)
train, test = (
    scenes("runs/data", split=split, num_clips=count, spec=spec)
    for split, count in (("train", 96), ("test", 24))
)
format = ClipFormat(seconds=0.75, size=48, mels=32)
front_end = FrontEnd(format)

sizes = {"depth": 2, "num_heads": 4, "patch": 8, "image_size": 48, "audio_size": (32, 48)}


# %%
# Visual sound localization
# -------------------------
#
# The similarity of a patch is the cosine between the image token and the mean of the audio tokens,
# both projected. There is no supervision of the location: for each image, the loss takes the patch
# with the highest similarity, and the audio of all other clips of the batch as negatives. Image and
# audio are encoded separately.

from torch.utils.data import DataLoader

from avblocks.heads import Localizer
from avblocks.tasks import Localization


def fit(task, loader, *, epochs, lr):
    """Train a task in a plain loop."""
    optimizer = torch.optim.AdamW(task.parameters(), lr=lr)
    for _ in range(epochs):
        for batch in loader:
            loss = task(batch)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"loss of the last batch {loss.item():.2f}")


localization = Localization(
    av_vit(64, fusion_layers="none", **sizes),
    Localizer(64, dim_out=64, batch_norm=True),
    front_end=front_end,
    temperature=0.07,
)
clips = ClipDataset(train, format, train=True, augment=False, whole=True)  # not cropped
samples = [clips[index] for index in range(len(clips))]  # they fit into memory
loader = DataLoader(samples, batch_size=48, shuffle=True, collate_fn=collate)
fit(localization, loader, epochs=12, lr=2e-3)

# %%
# Pairs of clips test whether the map depends on the audio: the image of the first clip is shown
# with the audio of each. No object of the image has the timbre of the mismatched audio. A map is a
# success if its cIoU with the true box, the intersection over the union, is at least 0.5.

from avblocks.data import MixtureDataset, mismatched_pairs
from avblocks.data.datasets import vggss
from avblocks.data.scenes import scene_mismatched, scenes_as_vggss
from avblocks.tasks import LocalizationScorer, evaluate

boxes = vggss(scenes_as_vggss("runs/data"))
whole = ClipDataset(boxes, format, train=False, whole=True)
pairs = MixtureDataset(whole, mismatched_pairs(boxes, scene_mismatched(boxes)))
scores = evaluate(LocalizationScorer(localization, rule="vggss"), DataLoader(pairs, batch_size=16))
for audio, row in scores.items():
    print(f"{audio:12} success {row['ciou_adaptive']:5.1f}%")

# %%
# After so little training, few sources are found. ``python -m recipes.paper_localize`` finds
# :measured:`localization.json ciou_adaptive` percent of those of its scenes, and
# :measured:`localization.json mismatched_audio` percent with mismatched audio.
#
# The white box is the truth, and yellow marks high similarity. Regions with a cyan edge are above
# a threshold that three quarters of the maps of silence, noise and mismatched audio do not exceed:

from avblocks.tasks import evaluation_mode, localization_examples
from avblocks.viz import panel, save_figure

batch = collate([pairs[index] for index in (0, 7, 14)])
with evaluation_mode(localization):
    save_figure(panel(localization_examples(localization, batch, rule="vggss")), "runs/maps.png")

# %%
# Sound separation
# ----------------
#
# Clips are mixed in pairs, and the image of one guides the separation. The target is a mask over
# the bins of the spectrogram: the power of the source, divided by the sum of the powers of source
# and mixture.

from avblocks.data import RandomGroups, mix, paired, write_wave
from avblocks.data.scenes import scene_casts, scene_pairs
from avblocks.heads import ratio_mask, separator
from avblocks.tasks import Separation, SeparationScorer

separation = Separation(
    av_vit(64, num_tokens=(4, 2, 2), **sizes),
    separator(64, patch=8, num_layers=2),
    front_end=front_end,
)
groups = RandomGroups(len(train), size=2, fits=scene_casts("runs/data", train))
mixtures = DataLoader(MixtureDataset(clips, groups), batch_size=8, shuffle=True)
fit(separation, mixtures, epochs=2, lr=2e-3)

# %%
# The true mask, with the phase of the mixture, shows how good masking can be. To get audio back,
# the mask is applied to linear frequencies:

listed = MixtureDataset(
    ClipDataset(test, format, train=False), paired(test, scene_pairs("runs/data", test))
)
batch = listed[0]
mixed = mix(batch)
target = ratio_mask(front_end.spectrogram(mixed.audio), front_end.spectrogram(mixed.sources))
ideal = separation.masking(mixed.audio, mask=2 * target)
for name, samples in (("mixture", mixed.audio), ("truth", mixed.sources), ("ideal_mask", ideal)):
    write_wave(f"runs/{name}.wav", samples[0], rate=format.rate)

# %%
# The mask of the model, guided by the matched image and by that of the other source of the mixture:

for image in ("matched", "mismatched"):
    with evaluation_mode(separation), torch.no_grad():
        found = separation.guided(batch, image)
    write_wave(f"runs/separated_{image}.wav", found[0], rate=format.rate)

# %%
# The scores are those of BSS Eval v3, in dB: SDR, and its improvement over the unchanged mixture.

scorer = SeparationScorer(separation)
for image, row in evaluate(scorer, DataLoader(listed, batch_size=8)).items():
    print(f"{image:12} SDR {row['sdr']:5.1f}  improvement {row['sdr_improvement_db']:+5.1f}")

# %%
# After so little training, nothing is separated, and the scores are nearly equal for all images, as
# for any separator that ignores the image. ``python -m recipes.paper_separate`` changes the SDR by
# :measured:`separation.json sdr_improvement_db` dB with the matched image, and by
# :measured:`separation.json mismatched_image` dB with the mismatched one. Next:
# :ref:`sphx_glr_auto_tutorials_06_own_videos.py`.
