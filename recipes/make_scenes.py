r"""Compose clips with exact boxes, masks and sources from photographs and recordings.

Commands:
    python -m recipes.make_scenes --ingredients DIR --backgrounds DIR --out OUT
    python -m recipes.make_scenes --ingredients /usr/share/tuxpaint/stamps/animals --class-of name \
        --backgrounds /usr/share/backgrounds/mate/nature --out OUT --train 600 --test 200
    (apt install tuxpaint-stamps-default mate-backgrounds)

Ingredients:
    DIR/CLASS/NAME.png with transparent surroundings (or NAME.jpg or .png with NAME_mask.png, black
    around the object), and DIR/CLASS/NAME.wav, .ogg, .flac or .mp3 beside it, at any depth; or a
    csv file with the columns image, audio, class and, if needed, mask.
    Without folders of classes (--class-of name), each name is a class. Files that cannot be used
    are listed with the reason: no recording of the same name, no transparency, one color, silent,
    too short, the same recording as in another class, damaged.

Scenes:
    One or two sounding objects, silent objects, and audio of sources off-screen. Recordings are
    looped, with another pitch and gain and with noise. A camera moves over the background.
    A quarter of the ingredients of each class and of the backgrounds occur only in the test. If a
    class has one ingredient, training and test share it, with other placements, mirroring, pitch
    and noise.

Leaves, in OUT:
    vggsound.csv, clips/            the layout of VGGSound
    vggss.json                      boxes of the test clips: VGG-SS
    avsbench/                       images, masks with classes: AVSS of AVSBench
    MUSIC_*.json, sources/          MUSIC, and the audio of each object
    annotations/, masks/            boxes and masks of each frame
    refused.csv                     files that are not used, and why

Use:
    python -m recipes.paper_pretrain composed --data.root OUT
    python -m recipes.paper_linear_probe composed --data.root OUT
    python -m recipes.paper_finetune composed --data.root OUT
    python -m recipes.paper_separate composed --data.root OUT
    python -m recipes.paper_localize composed --data.root OUT
    python -m recipes.paper_segment composed --data.root OUT

After an interruption, the same command resumes.

Try:
    --classes frog owl rooster
    --scene.silent 0.8 --scene.max-silent 2 --scene.offscreen 0.5 --scene.min-snr 0
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from avblocks.data.scenes import (
    ComposedScenes,
    ComposeSpec,
    Stock,
    background_files,
    compose_scenes,
    find_ingredients,
    load_stock,
)
from recipes.common.cli import run_cli
from recipes.common.run_files import check_out

_ZOOM = 3  # shorter side of the backgrounds, relative to that of the clips


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings."""

    ingredients: Path | None = None
    """Folder of images and recordings, or a csv file that lists them."""

    backgrounds: tuple[Path, ...] = ()
    """Folders of jpg and png photographs."""

    out: Path | None = None
    """Folder for the scenes and nothing else."""

    class_of: Literal["folder", "name"] = "folder"
    """Whether a class is a folder directly in the folder of ingredients, or a name."""

    classes: tuple[str, ...] = ()
    """The classes to use; all if not given."""

    train: int = 600
    """Number of training clips."""

    test: int = 200
    """Number of test clips."""

    min_seconds: float = 1.0
    """Recordings must be longer than this; those shorter than a clip are looped."""

    scene: ComposeSpec = field(default_factory=ComposeSpec)
    """Settings of the scenes."""

    workers: int = os.cpu_count() or 1
    """Number of threads that compose and encode."""


PRESETS = {"clips": ("clips of four seconds with 128 pixels", Config())}


def main(config: Config) -> None:
    """Compose the scenes, and print which files were refused."""
    if config.ingredients is None or not config.backgrounds or config.out is None:
        raise ValueError("give --ingredients DIR, --backgrounds DIR and --out DIR")
    check_out(config.out)
    torch.set_num_threads(1)  # clips are composed in parallel
    spec = config.scene
    found = find_ingredients(config.ingredients, by=config.class_of, classes=config.classes)
    print(f"reading {len(found.ingredients)} ingredients and the backgrounds", flush=True)
    stock = load_stock(
        found,
        background_files(config.backgrounds),
        rate=spec.rate,
        min_seconds=config.min_seconds,
        side=_ZOOM * spec.size,
    )
    print_stock(stock)
    source = ComposedScenes(stock, spec)
    for clips in compose_scenes(
        config.out, source, train=config.train, test=config.test, workers=config.workers
    ):
        print(clips.report())
    following = "python -m recipes.paper_pretrain composed"
    print(f"next: {following} --data.root {config.out}")


def print_stock(stock: Stock) -> None:
    """Print what the scenes are composed of, and the refused files by reason."""
    lacking = Counter(one.reason for one in stock.refused)
    for one in stock.refused:
        if lacking[one.reason] == 1:
            print(f"refused {one.name}: {one.reason}")
    for reason, count in lacking.items():
        if count > 1:
            print(f"refused {count} files, see refused.csv: {reason}")
    print(stock.report(), flush=True)


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
