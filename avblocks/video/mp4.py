"""Streams of an mp4 file that copies another video."""

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
from avblocks.video.overlay import Size

CLOCK = 90_000
"""Ticks a second: fine enough for frames to keep their times, evenly spaced or not."""
_RATES = (48_000, 96_000, 88_200, 64_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025)


def image_stream(container: OutputContainer, media: Media, size: Size) -> VideoStream:
    """Add an H.264 stream of a size for the frames of a video, which keep their times."""
    rate = Fraction(1 / period(media)).limit_denominator(1001)
    options = {"preset": "superfast", "crf": "20", "g": str(max(round(rate), 1))}
    stream = container.add_stream("libx264", rate, options=options)
    stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
    stream.codec_context.time_base = Fraction(1, CLOCK)
    return stream


def audio_stream(container: OutputContainer, media: Media) -> AudioStream:
    """Add an AAC stream, with the rate of a video's audio if AAC has it, mono or stereo."""
    source = media.audio.codec_context
    rate = source.sample_rate if source.sample_rate in _RATES else _RATES[0]
    layout = "mono" if source.layout.nb_channels == 1 else "stereo"
    # As in write_clip: FFmpeg's default coder drops pure tones for moments.
    return container.add_stream("aac", rate=rate, layout=layout, options={"aac_coder": "fast"})


def encode_audio(
    stream: AudioStream, frame: av.AudioFrame, *, start: float, path: str
) -> list[av.Packet]:
    """Encode a piece of audio, with time stamps that count from ``start``, in seconds.

    Raises:
        ClipError: If the format of the audio in ``path`` changes on the way.
    """
    if frame.time is not None:
        frame.pts = round((frame.time - start) * frame.sample_rate)
        frame.time_base = Fraction(1, frame.sample_rate)
    try:
        return stream.encode(frame)
    except ValueError as error:  # such as another number of channels from here on
        raise ClipError(path, f"its audio cannot be re-encoded ({error})") from error


def write_packets(container: OutputContainer, packets: list[av.Packet], out: Path) -> None:
    """Write packets.

    Raises:
        OSError: If they cannot be written: a full disk is not an error of the video that is read.
    """
    try:
        container.mux(packets)
    except FFmpegError as error:
        raise OSError(f"{out} cannot be written ({error.strerror})") from error
