"""The gallery: masks and models drawn at each build, what is checked in small and up to date."""

import re
import sys
from pathlib import Path

import gallery
import pytest
import torch
from built import DOCS, built
from torch import Tensor

ROOT = Path(__file__).parents[2]

PAGE = (DOCS / "gallery.rst").read_text(encoding="utf-8")
SHOWN = re.findall(r"^\.\. figure:: (\S+)\n((?:   .+\n)+)", PAGE, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is built of a page with a picture."""
    source = tmp_path_factory.mktemp("docs")
    (source / "index.rst").write_text("Page\n====\n\n.. image:: gallery/dense.svg\n")
    return built(source, source / "out", "html", extension="gallery")


@pytest.fixture(scope="module")
def drawn(site: Path) -> Path:
    return site.parent / "gallery"


def test_the_architecture_is_that_of_the_modules() -> None:
    checked_in = (DOCS / "pictures" / "architecture.svg").read_text(encoding="utf-8")
    assert checked_in == gallery.architectures()["architecture"], "run: python docs/gallery.py"


def test_what_the_page_shows_is_drawn_or_checked_in(drawn: Path) -> None:
    built = {f"gallery/{path.name}" for path in drawn.iterdir() if path.name != ".gitignore"}
    checked_in = {f"pictures/{name}" for name in gallery.TRAINED}
    assert {name for name, _ in SHOWN} == built | checked_in
    assert all((DOCS / name).is_file() for name in checked_in)


def test_every_picture_is_described() -> None:
    assert len(SHOWN) == PAGE.count(".. figure::") > 10
    for name, options in SHOWN:
        assert ":width: 100%" in options and re.search(r":alt: .{30}", options), name


def test_what_is_checked_in_is_small() -> None:
    for path in (DOCS / "pictures").iterdir():
        assert path.stat().st_size < 150_000, path


def test_masks_hide_their_share() -> None:
    def share(x: Tensor) -> float:
        return x.isnan().float().mean().item()

    image = {title: share(x) for title, x in gallery.image_masks().items()}
    assert image == {"image": 0} | {
        "RandomMask(0.75)": 0.75,
        "BlockMask(0.75, block=2)": 0.75,
        "BlockMask(0.75, block=4)": 0.75,
    }
    whole, *audio = gallery.audio_masks().values()
    assert whole.shape == (2, 1, 128, 192) and share(whole) == 0
    assert [round(share(x), 2) for x in audio] == [0.8, 0.8, 0.5, 0.5]
    times, frequencies = (x[0, 0].isnan() for x in audio[2:])
    assert torch.equal(times, times[:1].expand_as(times))
    assert torch.equal(frequencies, frequencies[:, :1].expand_as(frequencies))


def test_tubes_are_the_same_in_every_frame() -> None:
    whole, single, *tubes = (x.isnan() for x in gallery.video_masks().values())
    assert whole.shape == (3, 3, 224, 224) and not whole.any()
    assert not torch.equal(single, single[:1].expand_as(single))
    for tube in tubes:
        assert torch.equal(tube, tube[:1].expand_as(tube)) and tube.any()


def test_a_build_draws_first(site: Path) -> None:
    assert "dense.svg" in (site / "index.html").read_text()
    assert (site / "_images" / "dense.svg").is_file()


def test_trained_pictures_are_taken_from_their_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    picture = Image.new("RGB", (900, 1300), "teal")
    for source in gallery.TRAINED.values():
        (tmp_path / source).parent.mkdir(exist_ok=True)
        picture.save(tmp_path / source)
    monkeypatch.setattr(gallery, "PICTURES", tmp_path)
    monkeypatch.setattr(sys, "argv", ["gallery.py", str(tmp_path)])
    gallery.main()
    for name in gallery.TRAINED:
        with Image.open(tmp_path / name) as made:
            assert made.size == ((900, 874) if name.endswith("jpg") else (900, 1300))
            assert made.format == ("JPEG" if name.endswith("jpg") else "PNG")
    assert (tmp_path / "architecture.svg").read_text().startswith("<svg")
