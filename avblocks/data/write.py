"""Write small video files with sound, pictures, and sounds."""

import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from jaxtyping import Float, UInt8
from torch import Tensor

from avblocks.files import replacing

Frames = UInt8[Tensor, "t height width 3"] | UInt8[np.ndarray, "t height width 3"]
Samples = Float[Tensor, " s"] | Float[np.ndarray, " s"]


def write_clip(
    path: str | Path,
    *,
    frames: Frames,
    audio: Samples,
    fps: float,
    rate: int,
    keyframe_every: int | None = None,
) -> None:
    """Write an mp4 file of H.264 and AAC, under a temporary name first, so that no half is left.

    Args:
        path: Where to.
        frames: RGB pictures with even sides.
        audio: Mono samples in [-1, 1].
        fps: Frames per second.
        rate: Samples per second.
        keyframe_every: Frames from one key frame to the next, at most; a second's if not given.

    Raises:
        ValueError: If a side is odd, or there is no frame or no sample, or no key frame.
    """
    if keyframe_every is not None and keyframe_every < 1:
        raise ValueError(f"{path}: keyframe_every must be at least 1, got {keyframe_every}")
    pictures, samples = np.asarray(frames), np.asarray(audio)
    if not len(pictures) or not len(samples) or pictures.shape[1] % 2 or pictures.shape[2] % 2:
        raise ValueError(
            f"{path}: H.264 with sound needs frames of even sides and samples, "
            f"got frames {pictures.shape} and {len(samples)} samples"
        )
    with replacing(path, durable=False) as half, av.open(str(half), "w", format="mp4") as container:
        keys = keyframe_every or round(fps)
        _mux(container, pictures=pictures, samples=samples, fps=fps, rate=rate, keys=keys)


def _mux(
    container: OutputContainer,
    *,
    pictures: UInt8[np.ndarray, "t height width 3"],
    samples: Float[np.ndarray, " s"],
    fps: float,
    rate: int,
    keys: int,
) -> None:
    """Encode both streams into an open container."""
    # Slower presets look ahead; then x264 gives other bytes for the same small pictures at times.
    options = {"preset": "superfast", "crf": "20", "g": str(keys)}
    video = container.add_stream("libx264", Fraction(fps).limit_denominator(1001), options=options)
    video.height, video.width, video.pix_fmt = *pictures.shape[1:3], "yuv420p"
    video.thread_count = 1
    # FFmpeg's default AAC coder drops pure tones for moments: errors of 0.4 where "fast" has 0.01.
    sound = container.add_stream("aac", rate=rate, layout="mono", options={"aac_coder": "fast"})
    for picture in pictures:
        container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    wave = samples[None].astype(np.float32)
    frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
    frame.sample_rate, frame.pts = rate, 0
    container.mux(sound.encode(frame))
    for stream in (video, sound):
        container.mux(stream.encode(None))


def write_picture(path: str | Path, picture: UInt8[np.ndarray, "height width *rgb"]) -> None:
    """Write an image as a png file or, only in RGB, as a jpg file of high quality, by its name.

    Raises:
        ValueError: If the name ends in neither, or a jpg is to be grey.
    """
    kind, pixels = Path(path).suffix.lower(), "gray" if picture.ndim == 2 else "rgb24"
    if kind not in (".png", ".jpg") or (kind, pixels) == (".jpg", "gray"):
        raise ValueError(f"{path}: only .png and, in RGB, .jpg files are written here")
    codec = VideoCodecContext.create("png" if kind == ".png" else "mjpeg", "w")
    codec.height, codec.width = picture.shape[:2]
    codec.pix_fmt = pixels if kind == ".png" else "yuvj444p"
    codec.time_base, codec.thread_count = Fraction(1), 1
    if kind == ".jpg":
        codec.options = {"qmin": "1", "qmax": "2"}
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=pixels)
    frame.pts = 0
    with replacing(path, durable=False) as half:
        half.write_bytes(b"".join(bytes(p) for p in (*codec.encode(frame), *codec.encode(None))))


def write_wave(path: str | Path, samples: Samples, *, rate: int) -> None:
    """Write a wav file of 16-bit mono samples; those outside [-1, 1] are clipped."""
    with wave_writer(path, rate=rate) as write:
        write(samples)


@contextmanager
def wave_writer(path: str | Path, *, rate: int) -> Iterator[Callable[[Samples], None]]:
    """Yield a function that writes the next samples of a wav file; it is there once it is whole."""
    with replacing(path, durable=False) as half, wave.open(str(half), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)

        def write(samples: Samples) -> None:
            integers = (np.asarray(samples).clip(-1, 1) * 32767).round().astype("<i2")
            file.writeframes(integers.tobytes())

        yield write
