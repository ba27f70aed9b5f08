"""The gallery: figures, videos and audio of scenes at every build, and stored ones of trained runs.

As a Sphinx extension, this file draws what needs no training into ``docs/gallery``. As a command,
it writes what is stored again: the logo, ``docs/figures`` and ``docs/media``::

    python docs/gallery.py                                 # the logo and the architecture
    python docs/gallery.py runs/study_tasks-study/seed-0   # and what these trained runs show
"""

import argparse
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from cards import draw_cards
from logo import logo
from media import draw_media, record
from PIL import Image, ImageColor, ImageDraw
from sphinx.application import Sphinx
from torch import Tensor
from tutorial import INK, STYLE

from avblocks import BandMask, BlockMask, Masker, RandomMask, TubeMask, av_mae, av_vit_base
from avblocks.audio import LogMel
from avblocks.data.scenes import Scene, SceneSpec, render
from avblocks.diagram import architecture
from avblocks.viz import hide, panel, save_figure

FOLDER = Path(__file__).parents[1] / "docs/figures"
MEDIA = FOLDER.parent / "media"
TRAINED = {
    "reconstruction.png": "pretrain/reconstruction.png",
    "localization.webp": "localize/maps.png",
    "separation.webp": "separate/separation.png",
    "segmentation.webp": "segment/segmentation.png",
}
"""Stored figures, and the files of one seed of ``recipes.study.tasks`` that they come from."""


@cache
def scenes() -> tuple[Scene, ...]:
    """Render two scenes at the sizes of the paper: images of 224 pixels, three seconds of audio."""
    return tuple(render(index, spec=SceneSpec(size=224, seconds=3)) for index in (0, 12))


def image_masks() -> dict[str, Tensor]:
    """Show two images, whole and under masks over their 14 x 14 patches."""
    frames = np.stack([scene.frames[0] for scene in scenes()])
    image = torch.from_numpy(frames).movedim(-1, 1) / 255
    maskers = {
        "RandomMask(0.75)": RandomMask(0.75),
        "BlockMask(0.75, block=2)": BlockMask(0.75, block=2),
        "BlockMask(0.75, block=4)": BlockMask(0.75, block=4),
    }
    return {"image": image, **hidden(image, maskers, patch=(16, 16))}


def audio_masks() -> dict[str, Tensor]:
    """Show two spectrograms, whole and under masks over their 8 x 12 patches."""
    audio = LogMel()(torch.from_numpy(np.stack([scene.audio for scene in scenes()])))
    maskers = {
        "RandomMask(0.8)": RandomMask(0.8),
        "BlockMask(0.8, block=2)": BlockMask(0.8, block=2),
        'BandMask(0.5,\naxis="time")': BandMask(0.5, axis="time"),
        'BandMask(0.5,\naxis="frequency")': BandMask(0.5, axis="frequency"),
    }
    return {"audio": audio, **hidden(audio, maskers, patch=(16, 16))}


def video_masks() -> dict[str, Tensor]:
    """Show frames of a video, one per row, whole and under masks over its 3 x 14 x 14 patches."""
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
    """Hide the masked patches of a batch, once per masker."""
    grid = tuple(side // p for side, p in zip(x.shape[2:], patch, strict=True))
    masks = {
        title: masker(grid, batch=len(x), generator=torch.Generator().manual_seed(0))
        for title, masker in maskers.items()
    }
    return {title: hide(x, mask=mask, patch=patch) for title, mask in masks.items()}


def architectures() -> dict[str, str]:
    """Draw the masked autoencoder of the paper, and encoders with the other two fusions."""
    with torch.device("meta"):  # allocates no weights
        return {
            "architecture": architecture(av_mae(av_vit_base())),
            "dense": architecture(av_vit_base(fusion="dense", fusion_layers=[3, 7, 11])),
            "token": architecture(av_vit_base(fusion="token", depth=(12, 6))),
        }


def draw(folder: Path) -> None:
    """Draw the figures that need no training."""
    folder.mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    with mpl.rc_context(STYLE):
        for make in (image_masks, audio_masks, video_masks):
            save_figure(panel(make()), folder / f"{make.__name__}.png")
    draw_cards(folder)
    draw_media(scenes(), folder)
    for name, svg in architectures().items():
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")


def shrink(source: Path, target: Path) -> None:
    """Reduce a figure, and make its white ground transparent; a WebP has four of six rows."""
    figure = lift(Image.open(source).convert("RGB"))
    if target.suffix == ".webp":
        figure = figure.crop((0, 0, figure.width, round(0.675 * figure.height)))
        figure.thumbnail((1000, 1000))
    else:
        figure = figure.quantize(256, method=Image.Quantize.FASTOCTREE)
    figure.save(target, optimize=True, quality=80)


def lift(figure: Image.Image, *, least: int = 245) -> Image.Image:
    """Make the white around images transparent, and the titles above them gray."""
    pixels = np.asarray(figure).astype(np.int16)
    white = pixels.min(axis=2) >= least
    top = int((white.mean(axis=1) < 0.4).argmax())  # the first row with images
    ground = Image.fromarray(np.where(white, 255, 0).astype(np.uint8)).copy()  # writable
    for corner in ((0, top), (figure.width - 1, figure.height - 1)):
        if ground.getpixel(corner) == 255:
            ImageDraw.floodfill(ground, corner, 128)
    alpha = np.where(np.asarray(ground) == 128, 0, 255)
    alpha[:top] = 255 - pixels[:top].mean(axis=2)
    pixels[:top] = ImageColor.getrgb(INK)
    return Image.fromarray(np.dstack((pixels, alpha)).astype(np.uint8))


def draw_loss(run: Path) -> None:
    """Draw the loss of a run in the style of these pages."""
    from recipes.engine.curve import loss_curve  # a build needs no recipes

    with mpl.rc_context(STYLE):
        loss_curve(run / "metrics.csv", FOLDER / "loss.png")
    figure = Image.open(FOLDER / "loss.png").convert("RGBA")
    figure.quantize(256, method=Image.Quantize.FASTOCTREE).save(FOLDER / "loss.png", optimize=True)


def main() -> None:
    """Write the stored figures again."""
    parser = argparse.ArgumentParser(description="Write the stored figures again.")
    parser.add_argument("runs", type=Path, nargs="?", help="folder of one seed of study.tasks")
    runs: Path | None = parser.parse_args().runs
    (FOLDER / "architecture.svg").write_text(architectures()["architecture"], encoding="utf-8")
    (FOLDER.parent / "_static/logo.svg").write_text(logo(), encoding="utf-8")
    if runs is not None:
        draw_loss(runs / "pretrain")
        for name, source in TRAINED.items():
            shrink(runs / source, FOLDER / name)
        record(runs, MEDIA)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the drawing of figures before pages are read."""
    app.connect("builder-inited", lambda app: draw(Path(app.srcdir) / "gallery"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    main()
