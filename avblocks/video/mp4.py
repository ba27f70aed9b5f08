"""Streams of an mp4 file that copies another video."""

from collections.abc import Iterator
from fractions import Fraction
from math import inf
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from avblocks.data.decode.audio import extent, iter_audio
from avblocks.data.decode.channels import mono, stereo
from avblocks.data.decode.frames import period
from avblocks.data.decode.media import AudioFile, Media
from avblocks.data.decode.timeline import collect_pieces, without_gaps
from avblocks.video.overlay import Size

CLOCK = 90_000
"""Ticks a second: fine enough for frames to keep their times, evenly spaced or not."""
_RATES = (48_000, 96_000, 88_200, 64_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025)


def image_stream(container: OutputContainer, media: Media, size: Size) -> VideoStream:
    """Add an H.264 stream of a size for the frames of a video, which keep their times."""
    rate = Fraction(1 / period(media)).limit_denominator(1001)
    # Without B-frames the packet that is decoded last is shown last, whose length mp4 keeps.
    # A constant quantizer takes half of the time of crf, which looks ahead.
    options = {"preset": "ultrafast", "qp": "18", "g": str(max(round(rate), 1)), "bf": "0"}
    stream = container.add_stream("libx264", rate, options=options)
    stream.thread_count = 1  # two take a quarter more time; copies are encoded side by side
    stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
    stream.codec_context.time_base = Fraction(1, CLOCK)
    return stream


def audio_stream(container: OutputContainer, media: Media | AudioFile) -> AudioStream:
    """Add an AAC stream, with the rate of a file's audio if AAC has it, mono or stereo.

    Surround audio is mixed to stereo, see `avblocks.data.decode.channels`.
    """
    source = media.audio.codec_context
    rate = source.sample_rate if source.sample_rate in _RATES else _RATES[0]
    layout = "mono" if source.layout.nb_channels == 1 else "stereo"
    # As in write_clip: FFmpeg's default coder drops pure tones for moments.
    return container.add_stream("aac", rate=rate, layout=layout, options={"aac_coder": "fast"})


def encode_audio(
    stream: AudioStream, media: Media | AudioFile, *, start: float, seconds: float = inf
) -> Iterator[tuple[float, list[av.Packet]]]:
    """Decode and encode audio, with silence in its gaps, and yield times and packets.

    Time stamps count from ``start``, in seconds. Audio before it or after ``seconds`` is dropped.

    Raises:
        ClipError: If the audio cannot be decoded.
    """
    rate, begin = media.audio.codec_context.sample_rate, max(extent(media)[0], start)
    layout = stream.codec_context.layout.name
    pieces = iter_audio(media, start=begin, mix=mono if layout == "mono" else stereo)
    position = round(begin * rate)
    offset = position - round((begin - start) * rate)
    aligned = without_gaps(pieces, start=position, longest=rate)
    for samples in collect_pieces(aligned, least=rate):
        planes = np.ascontiguousarray(np.atleast_2d(samples))
        if seconds < inf:
            planes = planes[:, : max(round(seconds * rate) + offset - position, 0)]
        if not planes.shape[1]:
            break
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, position - offset, Fraction(1, rate)
        position += planes.shape[1]
        yield (position - offset) / rate, stream.encode(frame)
    yield inf, stream.encode(None)


def write_packets(container: OutputContainer, packets: list[av.Packet], out: Path) -> None:
    """Write packets.

    Raises:
        OSError: If they cannot be written: a full disk is not an error of the video that is read.
    """
    try:
        container.mux(packets)
    except FFmpegError as error:
        raise OSError(f"{out} cannot be written ({error.strerror})") from error
