"""Mp4 files that are written while others are read."""

from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from avblocks.data import ClipError
from avblocks.data.decode.frames import period
from avblocks.data.decode.media import Media
from avblocks.video.layer import Size

CLOCK = 90_000
"""Ticks a second: frames keep their times, evenly spaced or not."""
_RATES = (48_000, 96_000, 88_200, 64_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025)


def picture_stream(container: OutputContainer, media: Media, size: Size) -> VideoStream:
    """Add H.264 pictures of a size, at times of their own, for those of a file."""
    rate = Fraction(1 / period(media)).limit_denominator(1001)
    options = {"preset": "superfast", "crf": "20", "g": str(max(round(rate), 1))}
    stream = container.add_stream("libx264", rate, options=options)
    stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
    stream.codec_context.time_base = Fraction(1, CLOCK)
    return stream


def sound_stream(container: OutputContainer, media: Media) -> AudioStream:
    """Add AAC sound, as much like that of a file as may be."""
    told = media.audio.codec_context
    rate = told.sample_rate if told.sample_rate in _RATES else _RATES[0]
    layout = "mono" if told.layout.nb_channels == 1 else "stereo"
    # As in write_clip: FFmpeg's default coder drops pure tones for moments.
    return container.add_stream("aac", rate=rate, layout=layout, options={"aac_coder": "fast"})


def encoded(
    stream: AudioStream, frame: av.AudioFrame, *, zero: float, path: str
) -> list[av.Packet]:
    """Encode some sound, its time counted from ``zero``."""
    if frame.time is not None:
        frame.pts = round((frame.time - zero) * frame.sample_rate)
        frame.time_base = Fraction(1, frame.sample_rate)
    try:
        return stream.encode(frame)
    except ValueError as error:  # such as another number of channels from here on
        raise ClipError(path, f"its sound cannot be written anew ({error})") from error


def put(container: OutputContainer, packets: list[av.Packet], out: Path) -> None:
    """Write packets; that a disk is full is no fault of the file that is read."""
    try:
        container.mux(packets)
    except FFmpegError as error:
        raise OSError(f"{out} cannot be written ({error.strerror})") from error
