"""Read a file by every reader, at 15 places, and say how far off each one is."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from avblocks.data import AVClip, ClipFormat, read_clip
from avblocks.data.datasets import ClipSet, Item
from avblocks.data.shards import ShardSettings, make_shards
from avblocks.video import open_windows
from tests.data.clip_files import chirp, counter
from tests.media.files import FPS, SECONDS, Kind

RATE, WINDOWS, LENGTH = 16000, 15, 1.0
_EDGE = 0.1  # seconds about the edges of a gap that are not compared: decoders settle
_STEP = 160  # samples that are silent or not
_COARSE = 2  # samples by which the place in the chirp is looked for at first
_PADDING = round(LENGTH * RATE / _COARSE)


@dataclass(frozen=True, kw_only=True)
class Window:
    """An image, audio, and when in the audio the image is shown."""

    image: np.ndarray
    audio: np.ndarray
    time: float


@dataclass(frozen=True, kw_only=True)
class Errors:
    """How far off a reader was, at most.

    Attributes:
        frames: Images by which what is seen and what is heard are apart, beyond rounding.
        level: Of the loudness, as a share.
        silence: Milliseconds that are silent and should not be, or the other way round.
        gray: Levels of 255 by which a gray area is off.
        missing: Milliseconds of a window that are missing.
    """

    frames: float
    level: float
    silence: float
    gray: float
    missing: float


BOUNDS = Errors(frames=1.0, level=0.1, silence=20.0, gray=3.0, missing=0.0)
"""What a reader may be off, at most."""


def wrong(found: Errors) -> list[str]:
    """Name the errors that are over their bounds."""
    return [name for name, most in asdict(BOUNDS).items() if asdict(found)[name] > most]


def windows_of(path: Path, folder: Path) -> dict[str, list[Window]]:
    """Read a file as clips, from shards, and as predict does."""
    places = np.linspace(0, 1, WINDOWS)
    item = Item(id="a", path=str(path))
    shards = make_shards(
        {"all": ClipSet(name="a", items=(item,))}, folder / "shards", settings=ShardSettings(fps=4)
    )
    (packed,) = shards.clips("all").items
    settings = {"seconds": LENGTH, "rate": RATE}
    return {
        "read_clip": [_window(read_clip(item, place=p, frame=0.51, **settings)) for p in places],
        "shards": [_window(shards.read(packed, place=p, frame=0.51, **settings)) for p in places],
        "predict": list(_streamed(path)),
    }


def _window(clip: AVClip) -> Window:
    assert clip.time is not None
    return Window(image=_numpy(clip.image), audio=clip.audio.numpy(), time=clip.time)


def _streamed(path: Path) -> Iterator[Window]:
    windows = open_windows(path, ClipFormat(seconds=LENGTH, rate=RATE), hop=round(0.37 * RATE))
    for batch in windows.batches(4):
        for image, audio in zip(batch.images, batch.audio, strict=True):
            yield Window(image=_numpy(image), audio=audio.numpy(), time=LENGTH / 2)


def _numpy(image) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()


def errors(windows: list[Window], kind: Kind) -> Errors:
    """Compare windows with what they should be."""
    shown = np.stack([expected(number, kind) for number in range(round(kind.shown * FPS))])
    found = [_errors(window, kind, shown) for window in windows]
    return Errors(**{name: max(each[name] for each in found) for name in found[0]})


def _errors(window: Window, kind: Kind, shown: np.ndarray) -> dict[str, float]:
    assert window.image.shape == shown.shape[1:], (window.image.shape, shown.shape[1:])
    thin = (slice(1, None, 3), slice(1, None, 3), 0)  # enough to read the bars
    apart = np.abs(shown[:, *thin].astype(np.int16) - window.image[thin]).mean(axis=(1, 2))
    number = int(apart.argmin())
    assert apart[number] < 12, f"none of the images: the nearest is {apart[number]:.1f} levels off"
    found = {
        "gray": abs(float(np.median(window.image[shown[0] == 128])) - 128),
        "missing": 1000 * (LENGTH - len(window.audio) / RATE),
        "frames": 0.0,
        "level": 0.0,
        "silence": 0.0,
    }
    silent = _steps(window.audio) < 0.02
    if (~silent).sum() < 20:
        return found  # in a gap there is nothing to tell the place by
    start = position(window.audio)
    at = min((start + window.time) * FPS, len(shown) - 0.5)
    times = start + (np.arange(len(silent)) + 0.5) * _STEP / RATE
    gaps = [*kind.gaps, (-SECONDS, kind.late), (SECONDS, 2 * SECONDS)]
    inside = np.any([(a < times) & (times < b) for a, b in gaps], axis=0)
    near = np.any([np.abs(times - edge) < _EDGE for gap in gaps for edge in gap], axis=0)
    found["frames"] = max(number - at, at - number - 1, 0.0)
    found["silence"] = 10.0 * int((silent != inside)[~near].sum())
    wanted = chirp(start + np.arange(len(window.audio)) / RATE)
    heard = (~inside & ~near).repeat(_STEP)
    found["level"] = abs(np.linalg.norm(window.audio[heard]) / np.linalg.norm(wanted[heard]) - 1)
    return found


def _steps(audio: np.ndarray) -> np.ndarray:
    """The peak of each step of audio."""
    return np.abs(audio).reshape(-1, _STEP).max(axis=1)


def expected(number: int, kind: Kind) -> np.ndarray:
    """The image of a number as a player shows it."""
    image = counter(number)
    width = round(image.shape[1] * kind.pixels)
    image = image[:, (np.arange(width) + 0.5).astype(int) * image.shape[1] // width]
    if kind.matrix is None:
        return image
    a, b, _, c, d, *_ = (np.sign(value) for value in kind.matrix)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    across, down = a * x + c * y, b * x + d * y
    shown = np.empty((np.ptp(down) + 1, np.ptp(across) + 1, 3), np.uint8)
    shown[down - down.min(), across - across.min()] = image
    return shown


def position(audio: np.ndarray) -> float:
    """Second of the chirp at which audio begins."""
    line = _line()
    spectrum = np.fft.rfft(audio[::_COARSE], len(line) + _PADDING)
    scores = np.fft.irfft(_spectrum() * spectrum.conj(), len(line) + _PADDING)
    about = _COARSE * int(scores[: len(line)].argmax())
    # Then to the sample.
    wave, places = _line(step=1), range(max(about - _COARSE, 0), about + _COARSE + 1)
    place = max(places, key=lambda place: wave[place : place + len(audio)] @ audio)
    return place / RATE - LENGTH


@cache
def _line(step: int = _COARSE) -> np.ndarray:
    """The chirp with a second of silence before it, and two behind it."""
    times = np.arange(0, round((SECONDS + 3 * LENGTH) * RATE), step) / RATE - LENGTH
    return np.where((times >= 0) & (times < SECONDS), chirp(times), 0).astype(np.float32)


@cache
def _spectrum() -> np.ndarray:
    return np.fft.rfft(_line(), len(_line()) + _PADDING)
