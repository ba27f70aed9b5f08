"""The gallery: masks and models drawn at each build, what is checked in small and up to date."""

import json
import re
import sys
from pathlib import Path

import av
import gallery
import media
import numpy as np
import photographs
import pytest
import torch
from built import DOCS, built
from logo import logo
from PIL import Image
from torch import Tensor

from avblocks.data import write_wave

ROOT = Path(__file__).parents[2]

PAGE = (DOCS / "gallery.rst").read_text(encoding="utf-8")
SHOWN = re.findall(r"^\.\. figure:: (\S+)\n((?:   .+\n)+)", PAGE, flags=re.MULTILINE)
PLAYED = re.findall(r"^   ((?:gallery|media)/\S+): .+$", PAGE, flags=re.MULTILINE)
CARDS = re.findall(r":img-top: (\S+)", (DOCS / "index.rst").read_text(encoding="utf-8"))


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
    checked_in = (DOCS / "figures" / "architecture.svg").read_text(encoding="utf-8")
    assert checked_in == gallery.architectures()["architecture"], "run: python docs/gallery.py"
    assert (DOCS / "_static/logo.svg").read_text() == logo(), "run: python docs/gallery.py"


def test_what_the_page_shows_is_drawn_or_checked_in(drawn: Path) -> None:
    built = {f"gallery/{path.name}" for path in drawn.iterdir() if path.name != ".gitignore"}
    checked_in = {f"figures/{name}" for name in ("loss.png", *gallery.TRAINED)}
    recorded = {f"media/{name}" for name in media.RECORDED}
    shown = {name for name, _ in SHOWN} | {*PLAYED, *CARDS}
    assert shown - recorded == built | checked_in
    assert shown & recorded and all((DOCS / name).is_file() for name in checked_in)


def test_every_picture_is_described() -> None:
    assert len(SHOWN) == PAGE.count(".. figure::") > 10
    for name, options in SHOWN:
        assert ":width: 100%" in options and re.search(r":alt: .{30}", options), name


def test_what_is_checked_in_is_small() -> None:
    paths = [*(DOCS / "figures").iterdir(), *(DOCS / "media").glob("*")]
    assert max(path.stat().st_size for path in paths) < 150_000
    assert sum(path.stat().st_size for path in paths) < 1_500_000


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


def test_a_white_ground_becomes_transparent() -> None:
    figure = Image.new("RGB", (60, 60), "white")
    figure.paste("black", (20, 4, 30, 8))  # a title
    figure.paste("teal", (2, 12, 58, 58))
    figure.paste("white", (20, 20, 30, 30))  # part of an image
    lifted = gallery.lift(figure)
    assert lifted.getpixel((0, 20))[3] == 0 and lifted.getpixel((40, 2))[3] == 0
    assert lifted.getpixel((25, 6)) == (123, 123, 123, 255)
    assert lifted.getpixel((25, 25)) == (255, 255, 255, 255)
    assert lifted.getpixel((10, 30)) == (0, 128, 128, 255)


def test_trained_figures_are_taken_from_their_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = Image.new("RGB", (900, 1300), "teal")
    for source in gallery.TRAINED.values():
        (tmp_path / source).parent.mkdir(exist_ok=True)
        figure.save(tmp_path / source)
    (tmp_path / "pretrain/metrics.csv").write_text("step,epoch,loss\n1,0.5,3.0\n2,1.0,2.0\n")
    (tmp_path / "_static").mkdir()
    (tmp_path / "figures").mkdir()
    recorded: list[Path] = []
    monkeypatch.setattr(gallery, "FOLDER", tmp_path / "figures")
    monkeypatch.setattr(gallery, "record", lambda runs, folder: recorded.append(runs))
    monkeypatch.setattr(sys, "argv", ["gallery.py", str(tmp_path)])
    gallery.main()
    for name in gallery.TRAINED:
        with Image.open(tmp_path / "figures" / name) as made:
            assert made.size == ((900, 878) if name.endswith("webp") else (900, 1300))
    with Image.open(tmp_path / "figures/loss.png") as curve:
        assert curve.convert("RGBA").getpixel((0, 0))[3] == 0
    assert (tmp_path / "figures/architecture.svg").read_text().startswith("<svg")
    assert (tmp_path / "_static/logo.svg").is_file() and recorded == [tmp_path]


def test_audio_is_compressed(tmp_path: Path) -> None:
    samples = 0.5 * torch.sin(torch.arange(32000) / 10)
    write_wave(tmp_path / "tone.wav", samples, rate=16000)
    media.compress(tmp_path / "tone.wav", tmp_path / "tone.m4a")
    assert (tmp_path / "tone.m4a").stat().st_size < 32000
    with av.open(str(tmp_path / "tone.m4a")) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    found = np.concatenate(frames, axis=1)
    assert abs(found.std() - 0.5 / 2**0.5) < 0.02 and 32000 <= found.shape[1] < 36000


def test_the_page_of_photographs_shows_what_its_command_writes() -> None:
    page = (DOCS / "ingredients.rst").read_text(encoding="utf-8")
    figures = re.findall(r"^\.\. figure:: figures/(\S+)\n((?:   .+\n)+)", page, flags=re.MULTILINE)
    assert {name for name, _ in figures} == set(photographs.FIGURES)
    assert all(":width: 100%" in options and ":alt: " in options for _, options in figures)
    played = set(re.findall(r"^   media/(\S+): .+$", page, flags=re.MULTILINE))
    assert played <= set(photographs.RECORDED)
    assert all((DOCS / "media" / name).is_file() for name in played)
    assert all((DOCS / "figures" / name).is_file() for name in photographs.FIGURES)


def test_clips_of_that_page_are_of_one_animal_and_of_two(tmp_path: Path) -> None:
    for number, (silent, hidden) in enumerate(([["x"], []], [[], ["x"]], [[], []], [["x"], []])):
        facts = {"id": f"test-{number}", "silent": silent, "offscreen": hidden}
        for folder in ("annotations", "clips/bee"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / f"annotations/test-{number}.json").write_text(json.dumps(facts))
        (tmp_path / f"clips/bee/test-{number}_0_4.mp4").write_bytes(b"")
    found = photographs.held_out_clips(tmp_path)
    assert {kind: path.name[:6] for kind, path in found.items()} == {
        "beside": "test-0",
        "alone": "test-2",
    }
