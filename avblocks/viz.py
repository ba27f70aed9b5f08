"""Figures of images, spectrograms and maps. Needs matplotlib (extra ``avblocks[viz]``)."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from avblocks.extras import extra
from avblocks.files import replacing
from avblocks.nn.mask import Mask
from avblocks.nn.patch import patchify, unpatchify
from avblocks.shapes import expect, require

if TYPE_CHECKING:  # Imported on use: it takes half a second.
    import matplotlib.axes
    import matplotlib.figure

MAP_STRENGTH, MASK_STRENGTH = 0.8, 0.6
"""Weights of the highest values of heat maps, and of masks, over images."""
_GRAY = (0.82, 0.82, 0.82)


def panel(columns: Mapping[str, Float[Tensor, "b c height width"]]) -> "matplotlib.figure.Figure":
    """Draw a grid of RGB images (3 channels) and spectrograms (1 channel), one row per sample.

    NaNs, such as masked patches, are drawn in gray. The spectrograms of a row share one color
    scale, with low frequencies at the bottom.

    Args:
        columns: title and batch of each column; RGB values in [0, 1].

    Raises:
        ValueError: if there are no columns, batch sizes differ or channels are not one or three.

    Example:
        >>> figure = panel({"image": torch.rand(2, 3, 8, 8), "audio": torch.rand(2, 1, 8, 12)})
        >>> len(figure.axes)
        4
    """
    with extra("viz"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    batches = list(columns.values())
    sizes = [len(batch) for batch in batches]
    require(len(set(sizes)) == 1, "columns", sizes, "one or more batches of one size")
    rows = sizes[0]
    figure = Figure(figsize=(1.9 * len(columns), 1.8 * rows + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, len(columns), squeeze=False)
    scales = [_scale([b[row] for b in batches if b.shape[1] == 1]) for row in range(rows)]
    for column, (title, batch) in enumerate(columns.items()):
        axes[0, column].set_title(plain_label(title), fontsize=9)
        for row in range(rows):
            _draw(axes[row, column], batch[row].detach().float().cpu(), scale=scales[row])
    return figure


def plain_label(name: str) -> str:
    r"""Escape a name for matplotlib, which treats text between ``$`` as math.

    Bytes of file names that are not UTF-8 become question marks.

    >>> plain_label("$1_000 quiz$")
    '\\$1_000 quiz\\$'
    """
    name = name.encode(errors="surrogateescape").decode(errors="replace")
    return name.replace("$", r"\$")


def hide(
    x: Float[Tensor, "b c *size"], *, mask: Mask, patch: tuple[int, ...]
) -> Float[Tensor, "b c *size"]:
    """Replace the masked patches of images, spectrograms or videos by NaNs, drawn in gray.

    Args:
        x: the inputs.
        mask: a mask over their patches.
        patch: sides of a patch.

    Raises:
        ValueError: if the mask has another number of samples or patches.

    Example:
        >>> from avblocks import RandomMask
        >>> mask = RandomMask(0.75)((2, 2), batch=2)
        >>> seen = hide(torch.rand(2, 3, 8, 8), mask=mask, patch=(4, 4))
        >>> seen.isnan().float().mean()
        tensor(0.7500)
    """
    patches, n = patchify(x, patch=patch), mask.num_tokens
    require(len(mask.ids_keep) == len(x), "mask", len(mask.ids_keep), f"of {len(x)} samples")
    require(n == patches.shape[1], "mask", n, f"over the input's {patches.shape[1]} patches")
    grid = tuple(side // p for side, p in zip(x.shape[2:], patch, strict=True))
    seen = patches.masked_fill(mask.is_masked[:, :, None], torch.nan)
    return unpatchify(seen, patch=patch, grid=grid)


def heat(values: Float[Tensor, "b height width"]) -> Float[Tensor, "b 3 height width"]:
    """Map values in [0, 1] to colors, such as a mask over a spectrogram (flip it upside down).

    Example:
        >>> heat(torch.rand(2, 8, 12)).shape
        torch.Size([2, 3, 8, 12])
    """
    table = _colors("inferno")
    most = len(table) - 1
    scaled = values.detach().float().cpu() * most
    levels = scaled.clamp(0, most - 1).nan_to_num(most).long()  # NaNs are black, as in matplotlib
    return _look_up(table, levels)


def overlay(
    image: Float[Tensor, "b 3 height width"],
    maps: Float[Tensor, "b height width"],
    *,
    strength: float = MAP_STRENGTH,
    scaled: bool = False,
) -> Float[Tensor, "b 3 height width"]:
    """Blend images with heat maps, whose opacity grows with their values.

    Args:
        image: RGB values in [0, 1].
        maps: values on any scale, such as similarities from `to_frame`.
        strength: opacity of the highest value; the lowest is transparent.
        scaled: whether the maps are in [0, 1] already; if not, each is scaled by `scale_maps`.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> overlay(torch.rand(2, 3, 8, 8), torch.randn(2, 8, 8)).shape
        torch.Size([2, 3, 8, 8])
    """
    expect(image=(image, "b c height width"), maps=(maps, "b height width"))
    weights = (maps if scaled else scale_maps(maps)).detach().float().cpu()
    return torch.lerp(image.detach().float().cpu(), heat(weights), strength * weights[:, None])


def scale_maps(maps: Float[Tensor, "b height width"]) -> Float[Tensor, "b height width"]:
    """Scale each map from its lowest value to its highest, to [0, 1]; constant maps are 0.

    Example:
        >>> scale_maps(torch.tensor([[[-1.0, 0.0, 3.0]]]))
        tensor([[[0.0000, 0.2500, 1.0000]]])
    """
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=max(1e-12, torch.finfo(maps.dtype).tiny))


def mask_overlay(
    image: Float[Tensor, "b 3 height width"],
    mask: Integer[Tensor, "b height width"],
    *,
    strength: float = MASK_STRENGTH,
) -> Float[Tensor, "b 3 height width"]:
    """Blend images with a segmentation: one color per class, none for the background.

    Args:
        image: RGB values in [0, 1].
        mask: class numbers, 0 for background; colors repeat after 20 classes.
        strength: weight of the color.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> mask_overlay(torch.rand(2, 3, 8, 8), torch.randint(5, (2, 8, 8))).shape
        torch.Size([2, 3, 8, 8])
    """
    expect(image=(image, "b c height width"), mask=(mask, "b height width"))
    mask, image = mask.cpu(), image.detach().float().cpu()
    painted = torch.lerp(image, class_colors(mask), strength)
    return torch.where(mask[:, None] > 0, painted, image)


def class_colors(mask: Integer[Tensor, "b height width"]) -> Float[Tensor, "b 3 height width"]:
    """Map class numbers from 1 to the colors of `mask_overlay`, which repeat after 20 classes.

    Example:
        >>> class_colors(torch.randint(1, 5, (2, 8, 12))).shape
        torch.Size([2, 3, 8, 12])
    """
    return _look_up(_colors("tab20"), (mask.cpu().long() - 1) % 20)


@cache
def _colors(name: str) -> Float[Tensor, "colors 3"]:
    """Return the colors of a color map of matplotlib, and black."""
    with extra("viz"):
        from matplotlib import colormaps

    colors = colormaps[name]
    table = torch.from_numpy(colors(range(colors.N))[:, :3]).float()
    return torch.cat([table, torch.zeros(1, 3)])


def _look_up(
    table: Float[Tensor, "colors 3"], numbers: Integer[Tensor, "b height width"]
) -> Float[Tensor, "b 3 height width"]:
    """Return the colors of numbers; indexing takes six times as long."""
    rows = torch.stack([color.index_select(0, numbers.flatten()) for color in table.T.contiguous()])
    return rows.view(3, *numbers.shape).movedim(0, 1)


def outline(
    image: Float[Tensor, "b 3 height width"],
    region: Bool[Tensor, "b height width"],
    *,
    color: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Float[Tensor, "b 3 height width"]:
    """Draw the edge of a region into images, one pixel wide.

    Args:
        image: RGB values in [0, 1].
        region: the region, such as a ground truth mask.
        color: RGB values of the edge, white if not given.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> outline(torch.zeros(1, 3, 3, 3), torch.ones(1, 3, 3, dtype=torch.bool))[0, 0]
        tensor([[1., 1., 1.],
                [1., 0., 1.],
                [1., 1., 1.]])
    """
    expect(image=(image, "b c height width"), region=(region, "b height width"))
    inside = -F.max_pool2d(-F.pad(region.cpu()[:, None].float(), (1, 1, 1, 1)), 3, stride=1)
    edge = region.cpu()[:, None] & (inside == 0)
    return torch.where(edge, torch.tensor(color)[:, None, None], image.detach().float().cpu())


def save_figure(figure: "matplotlib.figure.Figure", path: str | Path) -> None:
    """Write a figure as PNG atomically, and create its folder if needed."""
    with replacing(path) as half:
        figure.savefig(half, dpi=110, format="png")


def _scale(spectrograms: list[Float[Tensor, "1 m t"]]) -> tuple[float, float]:
    """Return the range of the first spectrogram, which is the input if others are predictions."""
    if not spectrograms:
        return 0.0, 1.0
    finite = spectrograms[0][torch.isfinite(spectrograms[0])].float()
    return finite.quantile(0.02).item(), finite.quantile(0.995).item()


def _draw(
    ax: "matplotlib.axes.Axes",
    image: Float[Tensor, "c height width"],
    *,
    scale: tuple[float, float],
) -> None:
    with extra("viz"):
        from matplotlib import colormaps

    require(image.shape[0] in (1, 3), "channels", image.shape[0], "1 or 3")
    if image.shape[0] == 1:
        low, high = scale
        pixels = image[0].numpy()
        magma = colormaps["magma"].with_extremes(bad=_GRAY)
        ax.imshow(pixels, origin="lower", aspect="auto", cmap=magma, vmin=low, vmax=high)
    else:
        gray = torch.tensor(_GRAY).view(3, 1, 1)
        pixels = torch.where(image.isnan(), gray, image).clamp(0, 1)
        ax.imshow(pixels.permute(1, 2, 0).numpy())
    ax.set_axis_off()
