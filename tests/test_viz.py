"""Pictures: one panel a sample and column, what is not a number grey, bad input refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import colormaps

from avblocks import RandomMask, TubeMask, patchify
from avblocks.viz import heat, hide, mask_overlay, outline, overlay, panel, save_figure, scale_maps


def test_panel_shows_every_picture_under_its_title() -> None:
    image, sound = torch.rand(3, 3, 8, 8), torch.randn(3, 1, 16, 24)
    figure = panel({"image": image, "sound": sound})
    assert len(figure.axes) == 6
    assert [ax.get_title() for ax in figure.axes] == ["image", "sound", "", "", "", ""]
    shown = [np.asarray(ax.get_images()[0].get_array()) for ax in figure.axes]
    for row in range(3):
        np.testing.assert_allclose(shown[2 * row], image[row].permute(1, 2, 0))
        np.testing.assert_allclose(shown[2 * row + 1], sound[row, 0])


def test_masked_values_are_grey() -> None:
    image = torch.full((1, 3, 4, 4), torch.nan)
    shown = panel({"image": image}).axes[0].get_images()[0].get_array()
    np.testing.assert_allclose(np.asarray(shown), 0.82, atol=1e-6)


def test_spectrograms_of_a_row_share_the_scale_of_the_first() -> None:
    truth = torch.linspace(0, 1, 64).view(1, 1, 8, 8)
    figure = panel({"truth": truth, "guess": 10 * truth})
    first, second = (ax.get_images()[0].get_clim() for ax in figure.axes)
    assert first == second and first[1] <= 1


def test_the_file_is_a_png(tmp_path: Path) -> None:
    save_figure(panel({"image": torch.rand(2, 3, 8, 8)}), tmp_path / "new" / "picture.png")
    assert (tmp_path / "new" / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "columns",
    [{}, {"a": torch.rand(1, 3, 4, 4), "b": torch.rand(2, 3, 4, 4)}, {"a": torch.rand(1, 2, 4, 4)}],
)
def test_bad_columns_are_refused(columns: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match=r"columns|channels"):
        panel(columns)


def test_the_opacity_of_an_overlay_grows_with_its_values() -> None:
    image, maps = torch.rand(2, 3, 5, 6), torch.randn(2, 5, 6)
    maps[0], maps[1] = 7 * maps[0] + 3, 2.0  # Each has a scale of its own; one has none.
    low, high = maps[0].min(), maps[0].max()
    weights = torch.stack(((maps[0] - low) / (high - low), torch.zeros(5, 6)))
    mixed = overlay(image, maps, strength=0.25)
    part = 0.25 * weights[:, None]
    torch.testing.assert_close(mixed, (1 - part) * image + part * heat(weights))
    torch.testing.assert_close(mixed[1], image[1])
    torch.testing.assert_close(overlay(image, weights, strength=0.25, scaled=True), mixed)
    torch.testing.assert_close(overlay(image, maps, strength=0.0), image)


def test_heat_is_inferno_of_matplotlib() -> None:
    values = torch.tensor([[[-0.1, 0.0, 0.3, 0.999], [1 / 256, 1.0, 1.5, torch.nan]]])
    expected = torch.from_numpy(colormaps["inferno"](values.clamp(0, 1).numpy())[..., :3])
    torch.testing.assert_close(heat(values).movedim(1, -1), expected.float())


def test_masks_leave_the_background_alone() -> None:
    image, mask = torch.rand(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64)
    mask[0, 0, :3] = torch.tensor([1, 2, 22])
    painted = mask_overlay(image, mask, strength=1.0)
    torch.testing.assert_close(painted[:, :, 1:], image[:, :, 1:])
    torch.testing.assert_close(painted[..., 0, 3], image[..., 0, 3])
    one, two, twenty_two = painted[0, :, 0, :3].unbind(1)
    assert not torch.equal(one, two) and torch.equal(two, twenty_two)
    assert one.tolist() == pytest.approx(colormaps["tab20"](0)[:3])
    mixed = mask_overlay(image, mask, strength=0.5)
    torch.testing.assert_close(mixed, (painted + image) / 2)
    torch.testing.assert_close(mask_overlay(image, mask.byte(), strength=0.5), mixed)


def test_outline_is_the_edge_of_the_region_from_inside() -> None:
    region = torch.zeros(1, 6, 7, dtype=torch.bool)
    region[0, 1:5, 2:6] = True
    drawn = outline(torch.zeros(1, 3, 6, 7), region)
    wanted = region.clone()
    wanted[0, 2:4, 3:5] = False
    assert torch.equal(drawn == 1, wanted[:, None].expand(1, 3, 6, 7))
    assert torch.equal(outline(drawn, torch.zeros_like(region)), drawn)


def test_overlays_go_into_a_panel() -> None:
    image = torch.rand(2, 3, 8, 8)
    figure = panel({"heat": overlay(image, torch.randn(2, 8, 8))})
    assert len(figure.axes) == 2


def test_masked_patches_are_hidden_and_the_others_are_as_they_were() -> None:
    image = torch.rand(3, 3, 8, 12)
    mask = RandomMask(0.5)((2, 3), batch=3)
    seen = hide(image, mask=mask, patch=(4, 4))
    patches = patchify(seen, patch=(4, 4))
    assert mask.masked(patches).isnan().all()
    assert torch.equal(mask.kept(patches), mask.kept(patchify(image, patch=(4, 4))))
    assert not image.isnan().any()


def test_masked_tubes_are_hidden_in_every_frame() -> None:
    video = torch.rand(1, 3, 4, 8, 8)
    mask = TubeMask(RandomMask(0.75))((2, 2, 2), batch=1)
    seen = hide(video, mask=mask, patch=(2, 4, 4)).isnan()
    assert torch.equal(seen, seen[:, :1, :1].expand_as(seen))
    assert seen.float().mean() == 0.75


def test_a_mask_over_other_patches_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mask must be over the input's 4 patches, got 6"):
        hide(torch.rand(1, 3, 8, 8), mask=RandomMask(0.5)((2, 3), batch=1), patch=(4, 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_constant_maps_are_zero(dtype: torch.dtype) -> None:
    assert scale_maps(torch.full((1, 2, 2), 3, dtype=dtype)).eq(0).all()
