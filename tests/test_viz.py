"""Pictures: one panel a sample and column, what is not a number grey, bad input refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from avblocks.viz import panel, save_figure


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
