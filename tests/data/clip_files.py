"""Media files with pictures that are numbered and sound that is known at each moment."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def chirp(time: np.ndarray) -> np.ndarray:
    """A tone that rises from 100 Hz by 300 Hz a second: each moment sounds unlike any other."""
    return 0.5 * np.sin(2 * np.pi * (100 * time + 150 * time**2))


def counter(number: int, *, height: int = 48, width: int = 64) -> np.ndarray:
    """A picture whose lower left quarter spells a number in eight black or white bars."""
    picture = np.full((height, width, 3), 128, dtype=np.uint8)
    for bit in range(8):
        left = bit * width // 8
        picture[height // 2 :, left : left + width // 8] = 255 * (number >> bit & 1)
    return picture


def count(picture: np.ndarray) -> int:
    """Read the number back from a picture of (3, height, width)."""
    bars = picture[:, -picture.shape[1] // 4].mean(axis=0).reshape(8, -1).mean(axis=1)
    return int(sum(1 << bit for bit, bar in enumerate(bars) if bar > 128))


def encode(
    path: Path,
    *,
    frames: int = 60,
    fps: int = 20,
    seconds: float = 3.0,
    rate: int = 16000,
    layout: str = "mono",
    offset: float = 0.0,
    title: str = "",
    options: dict[str, str] | None = None,
    codecs: tuple[str, str] = ("libx264", "aac"),
    height: int = 48,
    width: int = 64,
) -> Path:
    """Write counted pictures (0 frames: no video stream) and a chirp (0 s: no audio stream)."""
    with av.open(str(path), "w", options=options or {}) as container:
        streams = []
        if title:
            container.metadata["title"] = title
        if frames:
            # libx264 has B-frames by default, so decoding order is not the order of the pictures.
            video = container.add_stream(codecs[0], rate=fps, options={"g": "15"})
            video.height, video.width = height, width
            video.pix_fmt = video.codec.video_formats[0].name
            # In avi, a picture that is repeated is a packet of its own: there are no finer times.
            clock = Fraction(1, fps if path.suffix == ".avi" else 1000)
            video.time_base = video.codec_context.time_base = clock
            streams.append(video)
        if seconds:
            sound = container.add_stream(codecs[1], rate=rate, layout=layout)
            if codecs[1] == "aac":
                sound.options = {"aac_coder": "fast"}
            streams.append(sound)
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(
                counter(number, height=height, width=width), format="rgb24"
            )
            picture.pts, picture.time_base = round((number / fps + offset) / clock), clock
            container.mux(video.encode(picture))
        if seconds:
            wave = chirp(np.arange(round(seconds * rate)) / rate).astype(np.float32)
            channels = {"mono": 1, "stereo": 2}[layout]
            frame = av.AudioFrame.from_ndarray(
                np.repeat(wave[None], channels, axis=0), format="fltp", layout=layout
            )
            frame.sample_rate, frame.pts = rate, round(offset * rate)
            frame.time_base = Fraction(1, rate)
            container.mux(sound.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path
