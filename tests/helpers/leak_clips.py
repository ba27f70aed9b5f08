"""Clips of random events and moving textures, encoded with any codec, size, rate and offset."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F

RATE = 16000
LONGEST = 10.0
FAST = {
    "libx264": {"preset": "ultrafast"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "mpeg4": dict[str, str](),
}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """One way to encode an excerpt."""

    suffix: str = ".mp4"
    video: str = "libx264"
    audio: str = "aac"
    bit_rate: int = 64_000
    quality: dict[str, str] | None = None
    size: tuple[int, int] = (120, 160)
    fps: int = 6
    rate: int = RATE
    start: float = 0.0
    seconds: float = 6.0
    gain: float = 1.0
    bars: int = 0


PLAIN = Encoding()
ENCODINGS = {
    "same": PLAIN,
    "low bit rates": Encoding(bit_rate=24_000, quality={"crf": "38"}),
    "webm, Opus at 16 kb/s": Encoding(
        suffix=".webm", video="libvpx", audio="libopus", bit_rate=16_000, rate=48000
    ),
    "avi, MPEG-4, MP3 at 32 kb/s": Encoding(
        suffix=".avi", video="mpeg4", audio="libmp3lame", bit_rate=32_000, size=(72, 96)
    ),
    "half the size, quieter": Encoding(size=(60, 80), gain=0.25, bit_rate=32_000),
    "offset of 1.237 s": Encoding(start=1.237),
    "2.5 s in common, and all of it": Encoding(
        suffix=".webm",
        video="libvpx",
        audio="libopus",
        bit_rate=24_000,
        rate=48000,
        start=3.508,
        size=(90, 120),
        fps=5,
        gain=0.5,
    ),
    "bars, wide": Encoding(size=(120, 200), bars=16),
}


@cache
def sound(number: int) -> np.ndarray:
    """Ten seconds of tones, chirps and bursts of filtered noise."""
    rng = np.random.default_rng((1, number))
    total = 0.002 * rng.standard_normal(round(LONGEST * RATE))
    for _ in range(14):
        length = round(rng.uniform(0.15, 2.0) * RATE)
        begin = rng.integers(0, len(total) - length)
        time = np.arange(length) / RATE
        pitch, slide = np.exp(rng.uniform(np.log(150), np.log(3000))), rng.uniform(-300, 300)
        phase = 2 * np.pi * (pitch * time + slide / 2 * time**2)
        if rng.random() < 0.4:
            wave = np.sin(phase) * rng.standard_normal(length) * 0.5
        else:
            wave = sum(np.sin(k * phase) / k for k in range(1, rng.integers(2, 6)))
        envelope = np.sin(np.pi * np.arange(length) / length)
        total[begin : begin + length] += rng.uniform(0.1, 1) * envelope * wave
    return (0.8 * total / np.abs(total).max()).astype(np.float32)


def pictures(number: int, times: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Frames of a random texture over which a camera moves, with two moving spots."""
    rng = np.random.default_rng((2, number))
    height, width = 180, 240
    canvas = torch.zeros(1, 3, height, width)
    for side in (3, 6, 12, 30):
        noise = torch.from_numpy(rng.standard_normal((1, 3, side, side + 1))).float()
        smooth = F.interpolate(noise, (height, width), mode="bicubic")
        canvas += smooth * 40 / side**0.5
    canvas = canvas + float(rng.uniform(70, 170))
    way, spots = rng.uniform(-6, 6, 2), rng.uniform(0, 1, (2, 6))
    y, x = np.mgrid[0:135, 0:180]
    frames = []
    for time in times:
        top, left = (np.clip(way * (time - 5) + (22, 30), 0, (44, 59))).astype(int)
        frame = canvas[..., top : top + 135, left : left + 180].clone()
        for spot in spots:
            at = 135 * (spot[0] + 0.03 * spot[2] * time), 180 * (spot[1] + 0.03 * spot[3] * time)
            near = torch.from_numpy((y - at[0]) ** 2 + (x - at[1]) ** 2 < (8 + 12 * spot[4]) ** 2)
            frame[..., near] = float(255 * spot[5])
        small = F.interpolate(frame, size, mode="bilinear", antialias=True)
        frames.append(small[0].clamp(0, 255).byte().permute(1, 2, 0).numpy())
    return np.stack(frames)


def write(path: Path, number: int, how: Encoding = PLAIN) -> Path:
    """Write an excerpt of a clip."""
    path = path.with_suffix(how.suffix)
    times = how.start + np.arange(round(how.seconds * how.fps)) / how.fps
    height, width = how.size
    frames = pictures(number, times, (height - 2 * how.bars, width))
    frames = np.pad(frames, ((0, 0), (how.bars, how.bars), (0, 0), (0, 0)))
    first = round(how.start * RATE)
    wave = how.gain * sound(number)[first : first + round(how.seconds * RATE)]
    with av.open(str(path), "w") as container:
        video = container.add_stream(
            how.video, rate=how.fps, options=FAST[how.video] | (how.quality or {})
        )
        video.height, video.width, video.pix_fmt = height, width, "yuv420p"
        # Threads of libvpx spin with sched_yield; beside another test, that stalled for 80 minutes.
        video.thread_count = 1
        audio = container.add_stream(how.audio, rate=how.rate, layout="mono")
        audio.bit_rate = how.bit_rate
        for at, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts, picture.time_base = at, Fraction(1, how.fps)
            container.mux(video.encode(picture))
        samples = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        samples.sample_rate, samples.pts = RATE, 0
        resampler = av.AudioResampler(
            format=audio.codec_context.format,
            layout="mono",
            rate=how.rate,
            frame_size=audio.codec_context.frame_size or 1024,
        )
        for part in (*resampler.resample(samples), *resampler.resample(None)):
            container.mux(audio.encode(part))
        for stream in (video, audio):
            container.mux(stream.encode(None))
    return path
