"""Write small videos with audio, image files, and audio files."""

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
    """Write an mp4 file with H.264 and AAC, atomically: an interrupted write leaves no file.

    Args:
        path: Output file.
        frames: RGB frames with even height and width.
        audio: Mono samples in [-1, 1].
        fps: Frames per second.
        rate: Samples per second.
        keyframe_every: Largest number of frames between key frames; one second if not given.

    Raises:
        ValueError: If height or width is odd, there are no frames or no samples, or
            ``keyframe_every`` is below 1.
    """
    if keyframe_every is not None and keyframe_every < 1:
        raise ValueError(f"{path}: keyframe_every must be at least 1, got {keyframe_every}")
    images, samples = np.asarray(frames), _mono(path, audio)
    if not len(images) or not len(samples) or images.shape[1] % 2 or images.shape[2] % 2:
        raise ValueError(
            f"{path}: H.264 with audio needs frames of even sides and samples, "
            f"got frames {images.shape} and {len(samples)} samples"
        )
    with replacing(path, durable=False) as half, av.open(str(half), "w", format="mp4") as container:
        keys = keyframe_every or round(fps)
        _mux(container, images=images, samples=samples, fps=fps, rate=rate, keys=keys)


def _mono(path: str | Path, samples: Samples) -> Float[np.ndarray, " s"]:
    """Return samples as an array; a ValueError if they are not mono, floats and finite."""
    wave = np.asarray(samples)
    if wave.ndim != 1 or wave.dtype.kind != "f" or not np.isfinite(wave).all():
        raise ValueError(
            f"{path}: audio must be mono samples (s,) of finite floats in [-1, 1], "
            f"got {wave.shape} of {wave.dtype}"
        )
    return wave


def _mux(
    container: OutputContainer,
    *,
    images: UInt8[np.ndarray, "t height width 3"],
    samples: Float[np.ndarray, " s"],
    fps: float,
    rate: int,
    keys: int,
) -> None:
    """Encode both streams into an open container."""
    # Slower presets look ahead; then x264 is not deterministic for small frames.
    options = {"preset": "superfast", "crf": "20", "g": str(keys)}
    video = container.add_stream("libx264", Fraction(fps).limit_denominator(1001), options=options)
    video.height, video.width, video.pix_fmt = *images.shape[1:3], "yuv420p"
    video.thread_count = 1
    # FFmpeg's default AAC coder briefly drops pure tones: errors of 0.4, against 0.01 with "fast".
    track = container.add_stream("aac", rate=rate, layout="mono", options={"aac_coder": "fast"})
    for image in images:
        container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
    wave = samples[None].astype(np.float32)
    frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
    frame.sample_rate, frame.pts = rate, 0
    container.mux(track.encode(frame))
    for stream in (video, track):
        container.mux(stream.encode(None))


def write_image(path: str | Path, image: UInt8[np.ndarray, "height width *rgb"]) -> None:
    """Write an RGB, RGBA or gray image as png, or an RGB image as jpg of high quality.

    Raises:
        ValueError: If the suffix is neither .png nor .jpg, or a jpg would not be in RGB.
    """
    kind = Path(path).suffix.lower()
    pixels = "gray" if image.ndim == 2 else "rgba" if image.shape[2] == 4 else "rgb24"
    if kind not in (".png", ".jpg") or (kind == ".jpg" and pixels != "rgb24"):
        raise ValueError(f"{path}: only .png and, in RGB, .jpg files are written here")
    codec = VideoCodecContext.create("png" if kind == ".png" else "mjpeg", "w")
    codec.pix_fmt = pixels if kind == ".png" else "yuvj444p"
    if kind == ".jpg":
        codec.options = {"qmin": "1", "qmax": "2"}
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=pixels)
    with replacing(path, durable=False) as half:
        half.write_bytes(encode_image(codec, frame))


def encode_image(codec: VideoCodecContext, frame: av.VideoFrame) -> bytes:
    """Encode a single image by a codec whose format and options are set."""
    codec.width, codec.height = frame.width, frame.height
    codec.time_base, codec.thread_count, frame.pts = Fraction(1), 1, 0
    return b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))


def write_wave(path: str | Path, samples: Samples, *, rate: int) -> None:
    """Write a wav file of 16-bit mono samples; those outside [-1, 1] are clipped."""
    with wave_writer(path, rate=rate) as write:
        write(samples)


@contextmanager
def wave_writer(path: str | Path, *, rate: int) -> Iterator[Callable[[Samples], None]]:
    """Yield a function that appends samples to a wav file, which gets its name when complete."""
    with replacing(path, durable=False) as half, wave.open(str(half), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)

        def write(samples: Samples) -> None:
            integers = (_mono(path, samples).clip(-1, 1) * 32767).round().astype("<i2")
            file.writeframes(integers.tobytes())

        yield write
