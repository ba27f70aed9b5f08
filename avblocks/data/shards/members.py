"""`Members`: the members of a clip, read from an open tar file."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from avblocks.data.decode.frames import to_tensor
from avblocks.data.shards.flac import BLOCK, HEAD, decode_flac, flac_length
from avblocks.data.shards.images import decode_stored
from avblocks.data.shards.notes import parse_notes
from avblocks.data.shards.png import decode_mask
from avblocks.data.shards.tar import Span, is_mask, member_names, read_bytes, read_member

Image = UInt8[Tensor, "3 height width"]
Mask = UInt8[Tensor, "height width"]


class Members:
    """The members of a clip in an open tar file.

    Args:
        handle: The file.
        key: Key of the clip.
        suffixes: Suffixes of its images and masks.
        spans: Its members in the file.

    Raises:
        ValueError: If the notes are damaged; the methods raise it for other members.
    """

    def __init__(
        self, handle: int, key: str, suffixes: Sequence[str], spans: Sequence[Span]
    ) -> None:
        self.handle, self.spans = handle, spans
        self.names = member_names(key, suffixes)
        self.images = [place for place, one in enumerate(suffixes, start=2) if not is_mask(one)]
        self.masks = {int(one[:4]): n for n, one in enumerate(suffixes, start=2) if is_mask(one)}
        self.notes = parse_notes(self._read(0), images=len(self.images), audio=spans[1].size)

    def _read(self, place: int) -> bytearray:
        return read_member(self.handle, self.names[place], self.spans[place])

    def image(self, number: int) -> Image:
        """Decode an image."""
        return to_tensor(decode_stored(self._read(self.images[number])))

    def mask(self, number: int) -> Mask | None:
        """Decode the mask of an image, if it has one."""
        if number not in self.masks:
            return None
        return torch.from_numpy(decode_mask(self._read(self.masks[number])))

    def audio(self, *, rate: int, first: int, last: int) -> Float[Tensor, " s"]:
        """Decode the samples from ``first`` to ``last``, or to the end of the audio."""
        span, notes = self.spans[1], self.notes
        head = bytes(read_member(self.handle, self.names[1], span, first=HEAD))
        length = flac_length(head, rate=rate)
        last = min(last, length)
        if first >= last or len(notes.blocks) != -(-length // BLOCK):
            raise ValueError(f"no audio from {first / rate:.2f} s to {last / rate:.2f} s")
        low, high = notes.part(first, last)
        blocks = bytes(read_bytes(self.handle, span.start + low, high - low))
        notes.check(first, last, head=head, blocks=blocks)
        samples = decode_flac(head, blocks)
        samples = samples[first % BLOCK :][: last - first]
        if len(samples) < last - first:
            raise ValueError("the audio is damaged: its blocks are shorter than stated")
        return torch.from_numpy(samples.astype(np.float32) / 32768)
