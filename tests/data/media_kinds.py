"""Media files of many kinds: containers, codecs, times, sides, and what encoders leave out."""

import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from clip_files import chirp, counter, encode
from damage import rotate, shift_edit, without_reorder_depth

FRAMES, FPS = 48, 20


def uneven(path: Path, *, height: int = 48, width: int = 64, **options: str) -> Path:
    """Pictures at uneven times and a chirp; sides may be odd, since no colour is subsampled."""
    rng = random.Random(0)
    times = np.cumsum([0, *(rng.choice((20, 50, 50, 130)) for _ in range(FRAMES - 1))])
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"g": "15", **options})
        video.height, video.width, video.pix_fmt = height, width, "yuv444p"
        video.time_base = video.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream("aac", rate=16000, layout="mono")
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(
                counter(number, height=height, width=width), format="rgb24"
            )
            frame.pts, frame.time_base = int(time), Fraction(1, 1000)
            container.mux(video.encode(frame))
        wave = chirp(np.arange(round(16 * times[-1])) / 16000).astype(np.float32)
        samples = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        samples.sample_rate, samples.pts = 16000, 0
        container.mux(sound.encode(samples))
        for stream in (video, sound):
            container.mux(stream.encode(None))
    return path


def plain(name: str, codec: str = "libx264", **more) -> Callable[[Path], Path]:
    sound = more.pop("sound", "aac")
    return lambda folder: encode(folder / name, frames=FRAMES, codecs=(codec, sound), **more)


def mended(
    make: Callable[[Path], Path], change: Callable[[Path], object]
) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = make(folder)
        change(path)
        return path

    return write


def once(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """Encode a file once in all tests, and write its bytes for each that asks."""
    made: list[tuple[str, bytes]] = []

    def write(folder: Path) -> Path:
        if not made:
            path = make(folder)
            made.append((path.name, path.read_bytes()))
        name, data = made[0]
        (folder / name).write_bytes(data)
        return folder / name

    return write


_KINDS: dict[str, Callable[[Path], Path]] = {
    "mp4": plain("a.mp4"),
    "mov": plain("a.mov"),
    "mkv": plain("a.mkv"),
    "late start": plain("a.mp4", offset=1.48),
    "negative times": plain("a.mp4", offset=-0.5),
    "no sound to the end": plain("a.mp4", seconds=1.0),
    "fragments": plain("a.mp4", options={"movflags": "frag_keyframe+empty_moov"}),
    "mpeg4": plain("a.mp4", "mpeg4"),
    "mpeg4 in avi": plain("a.avi", "mpeg4", sound="pcm_s16le"),
    "hevc": plain("a.mp4", "libx265"),
    "vp9": plain("a.webm", "libvpx-vp9", sound="libopus", rate=48000),
    "vp9 in mp4": plain("a.mp4", "libvpx-vp9"),
    "av1": plain("a.mp4", "libsvtav1"),
    "turned": mended(plain("a.mp4"), rotate),
    "no reorder depth": mended(plain("a.mp4"), without_reorder_depth),
    "no reorder depth, mkv": mended(plain("a.mkv"), without_reorder_depth),
    "cut by an edit": mended(plain("a.mp4"), lambda path: shift_edit(path, 350)),
    "uneven times": lambda folder: uneven(folder / "a.mp4"),
    "odd sides": lambda folder: uneven(folder / "a.mp4", height=45, width=67),
    "open groups": lambda folder: uneven(folder / "a.mp4", **{"x264-params": "open-gop=1"}),
    "many B-frames": lambda folder: uneven(
        folder / "a.mp4", **{"x264-params": "bframes=9:b-adapt=0:b-pyramid=strict:ref=6"}
    ),
    "no B-frames": lambda folder: uneven(folder / "a.mp4", bf="0"),
    "interlaced": lambda folder: uneven(folder / "a.mp4", **{"x264-params": "interlaced=1"}),
}
KINDS = {kind: once(make) for kind, make in _KINDS.items()}
