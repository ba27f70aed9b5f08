"""16-bit FLAC with known block offsets, so that parts of the audio can be decoded."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from zlib import crc32

import av
import numpy as np
from av.error import FFmpegError
from jaxtyping import Int16

Samples = Int16[np.ndarray, " s"]

BLOCK = 4096
"""Samples per block, except the last one."""
HEAD = 42
"""Bytes before the first block: the magic number and the STREAMINFO block."""
LARGEST = 2 * BLOCK + 64
"""Bytes of the largest block: FLAC stores incompressible samples unchanged."""
_MAGIC = b"fLaC\x80\x00\x00\x22"


def encode_flac(samples: Samples, *, rate: int) -> tuple[bytes, list[int]]:
    """Encode mono audio losslessly; return the file, and the size of each of its blocks."""
    codec = av.CodecContext.create("flac", "w")
    assert isinstance(codec, av.AudioCodecContext)
    codec.layout, codec.format, codec.sample_rate = "mono", "s16", rate
    # Level 2 is 5% larger than the default and decodes in two thirds of the time.
    codec.options = {"frame_size": str(BLOCK), "compression_level": "2"}
    codec.time_base = Fraction(1, rate)
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts = rate, 0
    packets = [bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None))]
    blocks = [packet for packet in packets if packet]
    return _MAGIC + bytes(codec.extradata or b"") + b"".join(blocks), [len(b) for b in blocks]


def checksums(flac: bytes, blocks: Sequence[int]) -> tuple[int, ...]:
    """Return the CRC-32 of the head of a file and of each block, given the sizes of the blocks."""
    ends = accumulate(blocks, initial=HEAD)
    return crc32(flac[:HEAD]), *(crc32(flac[low:high]) for low, high in pairwise(ends))


def flac_length(head: bytes, *, rate: int) -> int:
    """Read the number of samples from the first ``HEAD`` bytes of a file.

    Raises:
        ValueError: If the format differs from that of ``encode_flac``, since blocks of other sizes
            could require any amount of memory.
    """
    info = int.from_bytes(head[18:26], "big")
    kind = (info >> 44, (info >> 41 & 7) + 1, (info >> 36 & 31) + 1)
    sizes = (int.from_bytes(head[8:10], "big"), int.from_bytes(head[10:12], "big"))
    if not head.startswith(_MAGIC) or kind != (rate, 1, 16) or sizes != (BLOCK, BLOCK):
        raise ValueError(f"the audio is not mono FLAC of 16 bits, {rate} Hz and blocks of {BLOCK}")
    return info & (1 << 36) - 1


def decode_flac(head: bytes, blocks: bytes) -> Samples:
    """Decode consecutive whole blocks of a file whose ``head`` was checked by `flac_length`.

    Raises:
        ValueError: If they are damaged.
    """
    codec = av.CodecContext.create("flac", "r")
    assert isinstance(codec, av.AudioCodecContext)
    codec.extradata, codec.thread_count = head[8:], 1
    try:
        frames = codec.decode(av.Packet(blocks))
    except FFmpegError as error:
        raise ValueError(f"the audio cannot be decoded ({error.strerror})") from error
    if any(frame.format.name != "s16" or frame.layout.nb_channels != 1 for frame in frames):
        raise ValueError("the audio changes its format")
    parts = (np.frombuffer(bytes(f.planes[0]), np.int16, f.samples) for f in frames)
    return np.concatenate([np.zeros(0, np.int16), *parts])
