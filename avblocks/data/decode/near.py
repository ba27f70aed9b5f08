"""Start to decode near a time: at a key frame from which all later frames are exact."""

from math import inf
from typing import cast

from av.video.frame import PictureType, VideoFrame

from avblocks.data.decode.media import Media, reopen_video
from avblocks.data.decode.packets import TIE, packets, paletted, seek, untimed

_FAR = 10.0  # seconds from the beginning up to which it is no gain
_EARLIER = (0.0, 10.0)  # seconds; some containers seek to just after the wanted time


def begin_near(media: Media, time: float) -> float:
    """Seek in a file that was just opened to a key frame before a time, if that is safe.

    Frames that are shown before the key frame may depend on earlier ones, and must be dropped. The
    file stays at its beginning where a seek does not lead to a key frame with a known time, such as
    in avi or in cuts of an edit list, and where the time is near.

    Returns:
        Time of the key frame in seconds; minus infinity at the beginning.
    """
    first = float((media.video.start_time or 0) * (media.video.time_base or 0))
    if untimed(media) or paletted(media) or time - first <= _FAR:
        return -inf
    for earlier in _EARLIER:
        # A file of its own: only a file that was never read decodes from its very beginning.
        with reopen_video(media) as other:
            seek(other, other.video, time - earlier)
            key = _key_time(other)
        if key is not None and key <= time - TIE:
            seek(media, media.video, time - earlier)
            return key
    return -inf


def not_before(frame: VideoFrame, key: float) -> bool:
    """Return whether a frame is shown at or after a key frame."""
    return frame.time is None or frame.time >= key - TIE


def _key_time(media: Media) -> float | None:
    """Return the time of the next packet if decoding can start with it, and its frame is intra.

    Files with a gradual refresh mark frames as keys from which later ones recover step by step.
    """
    for number, packet in enumerate(packets(media, media.video)):
        if number == 0 and (packet.pts is None or not packet.is_keyframe or packet.is_discard):
            return None
        for frame in cast(list[VideoFrame], packet.decode()):
            intra = frame.pict_type == PictureType.I and frame.pts is not None
            return frame.time if intra else None
    return None
