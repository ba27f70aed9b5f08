"""`Kind`: small media files whose audio is a chirp and whose images carry their number in bars."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation

from tests.data.clip_files import chirp, counter

SECONDS, FPS = 6.0, 20
SIZE = (48, 64)
CLOCK = Fraction(1, 1000)
_PIECE = 1024  # samples
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a file is like.

    Attributes:
        suffix: Of the file's name, which says the container.
        codecs: Of video and audio.
        rate: Audio samples a second.
        layout: Audio channels, all of which hear the chirp.
        loud: Its peak.
        gaps: First and last second of audio whose packets are missing.
        wobble: Seconds, peak to peak, by which the time stamps of audio packets are off.
        late: Seconds by which audio begins later; the chirp is at its place.
        shown: Seconds after which the last image is held.
        pixels: Aspect of a pixel.
        matrix: The nine numbers of a display matrix.
        pix_fmt: Of the video; the codec's first if not given.
        video: Options of the video encoder.
        muxer: Options of the container.
    """

    suffix: str
    codecs: tuple[str, str] = ("libx264", "aac")
    rate: int = 48000
    layout: str = "mono"
    loud: float = 0.5
    gaps: tuple[tuple[float, float], ...] = ()
    wobble: float = 0.0
    late: float = 0.0
    shown: float = SECONDS
    pixels: Fraction = Fraction(1)
    matrix: tuple[int, ...] | None = None
    pix_fmt: str | None = None
    video: Mapping[str, str] = field(default_factory=dict)
    muxer: Mapping[str, str] = field(default_factory=dict)


def write_kind(
    folder: Path, kind: Kind, name: str = "a", *, images: Callable[[int], np.ndarray] = counter
) -> Path:
    """Write a file of a kind, with the images that a function gives by their numbers."""
    path = folder / f"{name}{kind.suffix}"
    with av.open(str(path), "w", options=dict(kind.muxer)) as container:
        video, audio = _video_stream(container, kind), _audio_stream(container, kind)
        packets = [*_images(video, kind, images), *_audio(audio, kind)]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def _video_stream(container, kind: Kind):
    options = {"g": "15", **kind.video}
    stream = container.add_stream(kind.codecs[0], rate=FPS, options=options)
    stream.height, stream.width = SIZE
    stream.pix_fmt = kind.pix_fmt or stream.codec.video_formats[0].name
    stream.codec_context.sample_aspect_ratio = kind.pixels
    stream.thread_count = 1
    clock = Fraction(1, FPS) if kind.suffix == ".avi" else CLOCK
    stream.time_base = stream.codec_context.time_base = clock
    if kind.matrix is not None:
        stream.set_display_matrix(kind.matrix)
    return stream


def _audio_stream(container, kind: Kind):
    options = {"aac_coder": "fast"} if kind.codecs[1] == "aac" else {}
    return container.add_stream(kind.codecs[1], rate=kind.rate, layout=kind.layout, options=options)


def _images(stream, kind: Kind, images: Callable[[int], np.ndarray]) -> Sequence[av.Packet]:
    packets, clock = [], stream.codec_context.time_base
    for number in range(round(kind.shown * FPS)):
        frame = av.VideoFrame.from_ndarray(images(number), format="rgb24")
        frame.pts, frame.time_base = round(number / FPS / clock), clock
        # PyAV's own conversion colors grays of full range.
        packets += stream.encode(
            frame.reformat(format=stream.pix_fmt, interpolation=EXACT, threads=1)
        )
    packets += stream.encode(None)
    if kind.shown < SECONDS:
        last = max(packets, key=lambda packet: packet.pts)
        last.duration = round(SECONDS / last.time_base) - last.pts
    return packets


def _audio(stream, kind: Kind) -> Sequence[av.Packet]:
    rng = random.Random(0)
    wave = 2 * kind.loud * chirp(np.arange(round(SECONDS * kind.rate)) / kind.rate)
    channels = av.AudioLayout(kind.layout).nb_channels
    packets = []
    for start in range(0, len(wave), _PIECE):  # encoders of PCM make a packet of each piece
        # Packed: PyAV 18 and 19 see a ninth plane where there are eight.
        packed = np.repeat(wave[start : start + _PIECE], channels)[None].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=kind.layout)
        frame.sample_rate, frame.pts, frame.time_base = kind.rate, start, Fraction(1, kind.rate)
        packets += stream.encode(frame)
    packets += stream.encode(None)
    kept = []
    for packet in packets:
        time = float(packet.pts * packet.time_base)
        if (kind.late and time < kind.late) or any(
            first <= time < last for first, last in kind.gaps
        ):
            continue
        late = round(rng.uniform(-kind.wobble / 2, kind.wobble / 2) / packet.time_base)
        packet.pts += late
        packet.dts += late
        kept.append(packet)
    return kept
