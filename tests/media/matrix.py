"""The matrix of files: containers with codecs, and what their content is like."""

from dataclasses import replace
from fractions import Fraction

from tests.media.files import Kind

ONE = 1 << 16
_H264 = ("mp4 h264 aac", "mov h264 pcm", "mkv h264 flac", "mkv h264 opus", "avi h264 pcm")
_HEVC = {"x265-params": "log-level=error"}

BASES = {
    "mp4 h264 aac": Kind(suffix=".mp4"),
    "mp4 hevc aac": Kind(suffix=".mp4", codecs=("libx265", "aac"), video=_HEVC),
    "mp4 vp9 opus": Kind(suffix=".mp4", codecs=("libvpx-vp9", "libopus")),
    "mp4 av1 aac": Kind(suffix=".mp4", codecs=("libsvtav1", "aac")),
    "mp4 mpeg4 mp3": Kind(suffix=".mp4", codecs=("mpeg4", "libmp3lame")),
    "mp4 h264 aac in fragments": Kind(
        suffix=".mp4", video={"bf": "0"}, muxer={"movflags": "frag_keyframe+empty_moov"}
    ),
    "mov h264 pcm": Kind(suffix=".mov", codecs=("libx264", "pcm_s16le")),
    "mov prores pcm": Kind(suffix=".mov", codecs=("prores_ks", "pcm_s24le"), pix_fmt="yuv422p10le"),
    "mov mjpeg alac": Kind(suffix=".mov", codecs=("mjpeg", "alac")),
    "mkv h264 aac": Kind(suffix=".mkv"),
    "mkv h264 flac": Kind(suffix=".mkv", codecs=("libx264", "flac")),
    "mkv h264 opus": Kind(suffix=".mkv", codecs=("libx264", "libopus")),
    "mkv vp9 ac3": Kind(suffix=".mkv", codecs=("libvpx-vp9", "ac3")),
    "mkv mpeg4 mp3": Kind(suffix=".mkv", codecs=("mpeg4", "libmp3lame")),
    "webm vp9 opus": Kind(suffix=".webm", codecs=("libvpx-vp9", "libopus")),
    "webm vp8 opus": Kind(suffix=".webm", codecs=("libvpx", "libopus")),
    "avi mpeg4 pcm": Kind(suffix=".avi", codecs=("mpeg4", "pcm_s16le")),
    "avi h264 pcm": Kind(suffix=".avi", codecs=("libx264", "pcm_s16le")),
    "avi h264 ac3": Kind(suffix=".avi", codecs=("libx264", "ac3"), video={"bf": "3"}),
    "avi mjpeg pcm": Kind(suffix=".avi", codecs=("mjpeg", "pcm_u8")),
    "avi h264 flac": Kind(suffix=".avi", codecs=("libx264", "flac"), video={"bf": "3"}),
    "avi mpeg4 mp3": Kind(suffix=".avi", codecs=("mpeg4", "libmp3lame")),
}
# Avi has no time stamps, and the muxer of mov and mp4 leaves out those of PCM.
_TIMED = tuple(
    name
    for name in BASES
    if not name.startswith("avi") and name not in ("mov h264 pcm", "mov prores pcm")
)
_MOVIES = tuple(name for name in BASES if name.startswith(("mp4", "mov")))
_LOSSY = ("mp4 h264 aac", "mkv h264 aac", "mkv h264 opus", "webm vp9 opus")


def _matrix(*numbers: int) -> dict[str, tuple[int, ...]]:
    a, b, c, d = (ONE * number for number in numbers)
    return {"matrix": (a, b, 0, c, d, 0, 0, 0, 1 << 30)}


# What a file is like, in which of the bases.
LIKE: dict[str, tuple[dict[str, object], tuple[str, ...]]] = {
    "plain": ({}, tuple(BASES)),
    "a gap": ({"gaps": ((2.0, 4.0),)}, _TIMED),
    "two gaps": ({"gaps": ((0.8, 1.2), (3.0, 5.2))}, _TIMED),
    "a short gap": ({"gaps": ((2.5, 2.65),)}, _LOSSY),
    "wobble": ({"wobble": 0.02}, _TIMED),
    # Of long packets: those of 20 ms would change places.
    "large wobble": ({"wobble": 0.04, "rate": 16000}, ("mp4 h264 aac", "mkv h264 aac")),
    "stereo 44.1 kHz": (
        {"layout": "stereo", "rate": 44100},
        # FFmpeg's muxer refuses such flac: rounded times repeat.
        tuple(name for name in BASES if "opus" not in name and name != "avi h264 flac"),
    ),
    "16 kHz": (
        {"rate": 16000},
        tuple(name for name in BASES if "ac3" not in name and name != "avi h264 flac"),
    ),
    "surround": (
        {"layout": "5.1"},
        tuple(name for name in BASES if not name.endswith(("mp3", "ac3"))),
    ),
    "a held image": ({"shown": 2.5}, tuple(BASES)),
    "late audio": ({"late": 0.4}, tuple(name for name in _TIMED if "fragments" not in name)),
    "mirrored": (_matrix(-1, 0, 0, 1), _MOVIES),
    "upside down": (_matrix(1, 0, 0, -1), _MOVIES),
    "transposed": (_matrix(0, 1, 1, 0), _MOVIES),
    "turned": (_matrix(0, 1, -1, 0), _MOVIES),
    "wide pixels": (
        {"pixels": Fraction(4, 3)},
        tuple(name for name in BASES if "h264" in name or "mpeg4" in name),
    ),
    "10 bits": ({"pix_fmt": "yuv420p10le"}, (*_H264[:4], "mp4 hevc aac", "mp4 av1 aac")),
    "many B-frames": (
        {"video": {"x264-params": "bframes=9:b-adapt=0:b-pyramid=strict:ref=6", "g": "40"}},
        _H264,
    ),
    "open groups": ({"video": {"x264-params": "open-gop=1:bframes=3:b-adapt=0"}}, _H264),
    "no B-frames": ({"video": {"bf": "0"}}, _H264),
    "B-frames": ({"video": {"bf": "2"}}, ("avi mpeg4 pcm", "mp4 mpeg4 mp3", "mkv mpeg4 mp3")),
}


def _held(kind: Kind) -> Kind:
    """Only the packet that is decoded last can say how long it lasts."""
    return replace(kind, video={**kind.video, "bf": "0"}) if "264" in kind.codecs[0] else kind


CASES = {
    f"{base}, {like}": replace(_held(BASES[base]) if "held" in like else BASES[base], **changes)
    for like, (changes, bases) in LIKE.items()
    for base in bases
}
QUICK = (
    "mp4 h264 aac, plain",
    "mp4 h264 aac, a gap",
    "mp4 h264 aac, wobble",
    "mp4 h264 aac, turned",
    "mp4 h264 aac, wide pixels",
    "mp4 mpeg4 mp3, transposed",
    "mp4 mpeg4 mp3, plain",
    "mp4 h264 aac in fragments, two gaps",
    "mov h264 pcm, mirrored",
    "mov h264 pcm, a held image",
    "mov mjpeg alac, late audio",
    "mkv h264 aac, two gaps",
    "mkv h264 flac, surround",
    "mkv h264 flac, 10 bits",
    "mkv h264 opus, a short gap",
    "mkv mpeg4 mp3, plain",
    "webm vp8 opus, a gap",
    "webm vp8 opus, wobble",
    "avi h264 pcm, many B-frames",
    "avi mpeg4 pcm, B-frames",
    "avi h264 flac, plain",
)
