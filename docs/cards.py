"""Images of the cards on the front page, drawn at every build from figures, scenes and results."""

import json
from pathlib import Path
from statistics import mean

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from PIL import Image
from tutorial import INK, STYLE

from avblocks import RandomMask
from avblocks.data.scenes import SceneSpec, render
from avblocks.viz import hide

DOCS = Path(__file__).parent
_IMAGE, _FUSION, _AUDIO = "#3b82d0", "#3aa657", "#dd7a2b"


def draw_cards(folder: Path) -> None:
    """Draw ``card_NAME.png`` for each card."""
    with mpl.rc_context(STYLE):
        for name, draw in CARDS.items():
            figure = Figure(figsize=(4, 2.2), dpi=100)
            draw(figure)
            figure.savefig(folder / f"card_{name}.png")


def _images(figure: Figure, images: torch.Tensor) -> None:
    for number, ax in enumerate(figure.subplots(1, len(images), squeeze=False)[0]):
        ax.imshow(images[number].movedim(0, -1).nan_to_num(0.6).numpy())
        ax.set_axis_off()
    figure.subplots_adjust(left=0.04, right=0.96, bottom=0.04, top=0.96, wspace=0.06)


def _frames(*indices: int, time: int = 0) -> torch.Tensor:
    found = [render(index, spec=SceneSpec(size=128, seconds=1)).frames[time] for index in indices]
    return torch.stack([torch.from_numpy(frame) for frame in found]).movedim(-1, 1) / 255


def _masked(figure: Figure) -> None:
    image = _frames(12)
    mask = RandomMask(0.75)((8, 8), batch=1, generator=torch.Generator().manual_seed(0))
    _images(figure, torch.cat((image, hide(image, mask=mask, patch=(16, 16)))))


def _scenes(figure: Figure) -> None:
    _images(figure, _frames(0, 5, 12))


def _map(figure: Figure) -> None:
    _crop(figure, "localization.webp", (0.006, 0.272, 0.394, 0.509))


def _tokens(figure: Figure) -> None:
    ax = figure.add_axes((0, 0, 1, 1))
    for x, color in ((0.2, _IMAGE), (0.5, _FUSION), (0.8, _AUDIO)):
        ax.scatter([x] * 3, [0.2, 0.5, 0.8], s=700, marker="s", color=color)
        for y in (0.2, 0.5):
            ax.annotate(
                "", (x, y + 0.11), (x, y + 0.19), arrowprops={"arrowstyle": "<-", "color": INK}
            )
    for y in (0.2, 0.5):
        for start, end in ((0.2, 0.5), (0.5, 0.2), (0.8, 0.5), (0.5, 0.8)):
            shift = 0.07 if end > start else -0.07
            places = (end - shift, y + 0.02), (start + shift, y + 0.28)
            ax.annotate("", *places, arrowprops={"arrowstyle": "->", "color": INK})
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_axis_off()


def _results(figure: Figure) -> None:
    results = json.loads((DOCS / "results/classification.json").read_text(encoding="utf-8"))
    ax = figure.add_axes((0.32, 0.08, 0.6, 0.86))
    names = list(results["fusion"])
    bars = ax.barh(
        names[::-1], [mean(results["fusion"][name]) for name in names[::-1]], color=_FUSION
    )
    ax.bar_label(bars, fmt=" %.0f%%")
    ax.set_xlim(0, 115)
    ax.set_xticks([])
    ax.spines[["top", "right", "bottom"]].set_visible(False)


def _curve(figure: Figure) -> None:
    _crop(figure, "loss.png", (0, 0, 1, 0.46))


def _crop(figure: Figure, name: str, box: tuple[float, float, float, float]) -> None:
    """Show a part of a stored figure, given by fractions of its sides."""
    stored = Image.open(DOCS / "figures" / name).convert("RGBA")
    sides = (stored.width, stored.height, stored.width, stored.height)
    left, top, right, bottom = (round(share * side) for share, side in zip(box, sides, strict=True))
    ax = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    ax.imshow(stored.crop((left, top, right, bottom)))
    ax.set_axis_off()


CARDS = {
    "tutorials": _masked,
    "guide": _tokens,
    "recipes": _curve,
    "datasets": _scenes,
    "results": _results,
    "gallery": _map,
}
"""By card, what draws its image."""
