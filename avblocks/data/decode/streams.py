"""Selection of the video stream and the audio stream of a file."""

from itertools import islice

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from avblocks.data.clip import ClipError
from avblocks.data.decode.container import AUDIO_FORMATS, VIDEO_FORMATS, opened

_STILLS = frozenset({"mjpeg", "png", "bmp", "tiff", "webp"})  # codecs of cover images
_RATES = (1_000, 768_000)
_TRIED = 8  # packets within which a working decoder returns a frame


def pick_video(path: str, container: InputContainer) -> VideoStream:
    """Return the first video stream that is not a cover image.

    Raises:
        ClipError: If there is none, or its codec is unknown.
    """
    videos = [video for video in container.streams.video if not _is_cover(path, video)]
    if not videos:
        covers = ", only a cover image" if container.streams.video else ""
        raise ClipError(path, f"no video stream{covers}")
    if videos[0].codec_context is None:
        raise ClipError(path, "the video stream is of an unknown codec")
    return videos[0]


def _is_cover(path: str, video: VideoStream) -> bool:
    """Return whether a video stream is a cover image: marked as one, or a single still image."""
    if video.disposition & Disposition.attached_pic:
        return True
    if video.codec_context is None or video.codec_context.name not in _STILLS:
        return False
    if video.frames and video.container.format.name != "avi":  # its header also counts empty slots
        return video.frames == 1
    with opened(path, formats=VIDEO_FORMATS, probe=False) as container:
        images = (packet for packet in container.demux(video.index) if packet.size)
        return len(list(islice(images, 2))) < 2


def pick_audio(path: str, container: InputContainer) -> tuple[AudioStream, str]:
    """Return the first audio stream that can be decoded.

    Returns:
        The stream, and a remark if it is not the first one.

    Raises:
        ClipError: If there is no audio stream, or none that can be decoded.
    """
    streams = container.streams.audio
    if not streams:
        raise ClipError(path, "no audio stream")
    reasons = [_unusable(path, stream, alone=len(streams) == 1) for stream in streams]
    if all(reasons):
        raise ClipError(path, reasons[0])
    number = reasons.index("")
    streams[number].codec_context.thread_count = 1
    remark = f"audio stream {number + 1} is read: {reasons[0]}" if number else ""
    return streams[number], remark


def _unusable(path: str, stream: AudioStream, *, alone: bool) -> str:
    """Return why an audio stream cannot be used, or ""; a single stream is not test-decoded."""
    if stream.codec_context is None:
        return "the audio stream is of an unknown codec"
    rate = stream.codec_context.sample_rate
    if not _RATES[0] <= rate <= _RATES[1]:
        return f"a sample rate of {rate} Hz is outside {_RATES[0]} to {_RATES[1]}"
    if alone or _decodes(path, stream.index):
        return ""
    return "the audio stream cannot be decoded"


def _decodes(path: str, index: int) -> bool:
    """Return whether a stream's decoder returns a frame for its first packets."""
    with opened(path, formats=f"{VIDEO_FORMATS},{AUDIO_FORMATS}") as container:
        for packet in islice(container.demux(index), _TRIED):
            try:
                if packet.decode():
                    return True
            except FFmpegError:
                continue
    return False
