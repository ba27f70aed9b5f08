"""Reading back what tests of videos have written."""

from pathlib import Path

import av
import numpy as np

from avblocks.data.decode.audio import decode_audio, extent
from avblocks.data.decode.media import open_audio, open_media


def samples(path: Path, *, rate: int) -> np.ndarray:
    """All audio of a video or of a wav file, as training reads it."""
    with (open_audio if path.suffix == ".wav" else open_media)(str(path)) as media:
        begin, end = extent(media)
        return decode_audio(media, start=begin, seconds=end - begin, rate=rate)


def frames(path: Path) -> tuple[list[float], np.ndarray]:
    """Times and RGB images of all frames."""
    with av.open(str(path)) as container:
        found = list(container.decode(container.streams.video[0]))
        return [f.time for f in found], np.stack([f.to_ndarray(format="rgb24") for f in found])
