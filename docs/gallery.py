"""Pictures of the gallery: drawn at every build, or taken from trained runs and checked in small.

As a Sphinx extension it draws what needs no training into ``docs/gallery``. As a command it makes
what is checked in again, in ``docs/pictures``::

    python docs/gallery.py                                 # the architecture
    python docs/gallery.py runs/study_tasks-study/seed-0   # and pictures of these trained runs
"""

import argparse
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sphinx.application import Sphinx
from torch import Tensor

from avblocks import BandMask, BlockMask, Masker, RandomMask, TubeMask, av_mae, av_vit_base
from avblocks.audio import LogMel
from avblocks.data.scenes import Scene, SceneSpec, render
from avblocks.diagram import architecture
from avblocks.viz import hide, panel, save_figure

PICTURES = Path(__file__).parent / "pictures"
TRAINED = {
    "loss.png": "pretrain/loss.png",
    "reconstruction.png": "pretrain/reconstruction.png",
    "localization.jpg": "localize/maps.png",
    "separation.jpg": "separate/separation.png",
    "segmentation.jpg": "segment/segmentation.png",
}
"""What is checked in, and which picture of a seed of ``recipes.study.tasks`` it is made of."""


@cache
def scenes() -> tuple[Scene, ...]:
    """Two scenes of the paper's sizes: pictures of 224 pixels and three seconds of sound."""
    return tuple(render(index, spec=SceneSpec(size=224, seconds=3)) for index in (0, 12))


def image_masks() -> dict[str, Tensor]:
    """Pictures, and what masks over their 14 x 14 patches leave of them."""
    frames = np.stack([scene.frames[0] for scene in scenes()])
    image = torch.from_numpy(frames).movedim(-1, 1) / 255
    maskers = {
        "RandomMask(0.75)": RandomMask(0.75),
        "BlockMask(0.75, block=2)": BlockMask(0.75, block=2),
        "BlockMask(0.75, block=4)": BlockMask(0.75, block=4),
    }
    return {"image": image, **hidden(image, maskers, patch=(16, 16))}


def audio_masks() -> dict[str, Tensor]:
    """Spectrograms, and what masks over their 8 x 12 patches leave of them."""
    audio = LogMel()(torch.from_numpy(np.stack([scene.audio for scene in scenes()])))
    maskers = {
        "RandomMask(0.8)": RandomMask(0.8),
        "BlockMask(0.8, block=2)": BlockMask(0.8, block=2),
        'BandMask(0.5,\naxis="time")': BandMask(0.5, axis="time"),
        'BandMask(0.5,\naxis="frequency")': BandMask(0.5, axis="frequency"),
    }
    return {"audio": audio, **hidden(audio, maskers, patch=(16, 16))}


def video_masks() -> dict[str, Tensor]:
    """Frames of a video, a row each, and what masks over its 3 x 14 x 14 patches leave of them."""
    frames = torch.from_numpy(scenes()[0].frames[::8]) / 255  # six, half a second apart
    video = frames.movedim(-1, 0)[None]
    maskers = {
        "RandomMask(0.75)": RandomMask(0.75),
        "TubeMask(\nRandomMask(0.75))": TubeMask(RandomMask(0.75)),
        "TubeMask(\nBlockMask(0.75))": TubeMask(BlockMask(0.75)),
    }
    columns = {"video": video, **hidden(video, maskers, patch=(2, 16, 16))}
    return {title: x[0].movedim(1, 0)[::2] for title, x in columns.items()}


def hidden(
    x: Tensor, maskers: Mapping[str, Masker], *, patch: tuple[int, ...]
) -> dict[str, Tensor]:
    """What each masker leaves of a batch."""
    grid = tuple(side // p for side, p in zip(x.shape[2:], patch, strict=True))
    masks = {
        title: masker(grid, batch=len(x), generator=torch.Generator().manual_seed(0))
        for title, masker in maskers.items()
    }
    return {title: hide(x, mask=mask, patch=patch) for title, mask in masks.items()}


def architectures() -> dict[str, str]:
    """Drawings of the paper's masked autoencoder, and of encoders with the other two fusions."""
    with torch.device("meta"):  # nothing is computed: no weights
        return {
            "architecture": architecture(av_mae(av_vit_base())),
            "dense": architecture(av_vit_base(fusion="dense", fusion_layers=[3, 7, 11])),
            "token": architecture(av_vit_base(fusion="token", depth=(12, 6))),
        }


def draw(folder: Path) -> None:
    """Draw what needs no training."""
    folder.mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    for make in (image_masks, audio_masks, video_masks):
        save_figure(panel(make()), folder / f"{make.__name__}.png")
    for name, svg in architectures().items():
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")


def shrink(source: Path, target: Path) -> None:
    """Write a picture small: as a PNG of 256 colours, or of six rows the first four as a JPEG."""
    picture = Image.open(source).convert("RGB")
    if target.suffix == ".png":
        picture = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=3)
    else:
        picture = picture.crop((0, 0, picture.width, round(0.672 * picture.height)))
        picture.thumbnail((1000, 1000))
    picture.save(target, optimize=True, quality=80)


def main() -> None:
    """Make what is checked in again."""
    parser = argparse.ArgumentParser(description="Make the pictures that are checked in again.")
    parser.add_argument("runs", type=Path, nargs="?", help="folder of a seed of study_tasks")
    runs: Path | None = parser.parse_args().runs
    (PICTURES / "architecture.svg").write_text(architectures()["architecture"], encoding="utf-8")
    if runs is not None:
        for name, source in TRAINED.items():
            shrink(runs / source, PICTURES / name)


def setup(app: Sphinx) -> dict[str, Any]:
    """Draw before the pages are read."""
    app.connect("builder-inited", lambda app: draw(Path(app.srcdir) / "gallery"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    main()
