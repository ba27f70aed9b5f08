"""Downmix of audio channels to stereo and mono, after ITU-R BS.775, without clipping."""

from functools import lru_cache

import av
import numpy as np
from jaxtyping import Float

_HALF = 0.5**0.5  # of the power: -3 dB
# Weight of each channel in the left output; the right is its mirror image. The LFE has no weight.
_LEFT = {
    **dict.fromkeys(("FL", "DL", "WL", "FLC"), 1.0),
    **dict.fromkeys(("FC", "BL", "SL", "TFL", "TSL", "TBL", "BFL"), _HALF),
    **dict.fromkeys(("BC", "TC", "TFC", "TBC", "BFC"), 0.5),
}
# From this number of planes on, PyAV 18 and 19 read beyond the last one, which ends the process.
_PLANES = 8
_UNKNOWN = "s64"  # which PyAV does not convert to an array
_FLOATS = frozenset({"flt", "fltp"})
_MIRROR = str.maketrans("LR", "RL")
# FFmpeg's default layout for a number of channels without names.
_USUAL = {3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


def mono(frame: av.AudioFrame) -> Float[np.ndarray, " s"]:
    """Mix the channels of decoded audio to one: the mean of left and right."""
    samples = _samples(frame)
    if len(samples) == 1 and samples.dtype == np.float32:
        return samples[0]
    if len(samples) <= 2:
        return samples.mean(axis=0, dtype=np.float32)
    return _weights(frame).mean(axis=0) @ samples.astype(np.float32, copy=False)


def stereo(frame: av.AudioFrame) -> Float[np.ndarray, "2 s"]:
    """Mix the channels of decoded audio to left and right; mono is copied to both."""
    samples = _samples(frame).astype(np.float32, copy=False)
    if len(samples) <= 2:
        return np.broadcast_to(samples, (2, samples.shape[1]))
    return _weights(frame) @ samples


def _samples(frame: av.AudioFrame) -> Float[np.ndarray, "c s"]:
    """Scale integers to [-1, 1]."""
    count = frame.layout.nb_channels
    if count == 1 and frame.format.name in _FLOATS:  # as below, in a third of the time
        return np.frombuffer(memoryview(frame.planes[0]), np.float32, frame.samples)[None]
    if frame.format.packed.name == _UNKNOWN or (frame.format.is_planar and count >= _PLANES):
        packed = _packed(frame)
    else:
        packed = frame
    samples = packed.to_ndarray()
    if not packed.format.is_planar:
        samples = samples.reshape(-1, count).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype.kind == "i":
        return samples / -float(np.iinfo(samples.dtype.name).min)
    return samples


def _packed(frame: av.AudioFrame) -> av.AudioFrame:
    """Interleave the channels of an audio frame; 64-bit integers become floats."""
    name = frame.format.packed.name
    name = "dbl" if name == _UNKNOWN else name
    kind = {"format": name, "layout": frame.layout, "rate": frame.sample_rate}
    resampler = av.AudioResampler(**kind)
    packed, *more = [*resampler.resample(frame), *resampler.resample(None)]
    assert not more and packed.samples == frame.samples
    return packed


def _weights(frame: av.AudioFrame) -> Float[np.ndarray, "2 c"]:
    return downmix(tuple(channel.name for channel in frame.layout.channels))


@lru_cache
def downmix(channels: tuple[str, ...]) -> Float[np.ndarray, "2 c"]:
    """Return the weights of channels in left and right, after ITU-R BS.775-3, table 2.

    Each row is divided by its sum, so that the result cannot exceed full scale. If no channel is a
    loudspeaker position, all have equal weight.

    Args:
        channels: FFmpeg's names of the channels.

    >>> downmix(("FL", "FR", "FC", "LFE", "SL", "SR")).round(3)
    array([[0.414, 0.   , 0.293, 0.   , 0.293, 0.   ],
           [0.   , 0.414, 0.293, 0.   , 0.   , 0.293]], dtype=float32)
    """
    if set(channels) == {"NONE"} and len(channels) in _USUAL:
        usual = av.AudioLayout(_USUAL[len(channels)])
        channels = tuple(channel.name for channel in usual.channels)
    left = [_LEFT.get(name, 0.0) for name in channels]
    right = [_LEFT.get(name.translate(_MIRROR), 0.0) for name in channels]
    rows = np.array([left, right], np.float32)
    if not rows.any(axis=1).all():
        rows = np.ones_like(rows)
    return rows / rows.sum(axis=1, keepdims=True)
