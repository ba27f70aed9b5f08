"""Leaks between data sets: clips of the same video, and of the same audio or frames."""

from avblocks.data.leaks.audio_codes import audio_codes as audio_codes
from avblocks.data.leaks.frame_hash import frame_hash as frame_hash
from avblocks.data.leaks.match import AudioIndex as AudioIndex
from avblocks.data.leaks.match import FrameIndex as FrameIndex
from avblocks.data.leaks.match import Match as Match
from avblocks.data.leaks.prints import Fingerprint as Fingerprint
from avblocks.data.leaks.prints import fingerprint as fingerprint
from avblocks.data.leaks.spans import Overlap as Overlap
from avblocks.data.leaks.spans import Span as Span
from avblocks.data.leaks.spans import names_video as names_video
from avblocks.data.leaks.spans import overlaps as overlaps
from avblocks.data.leaks.spans import parse_span as parse_span
from avblocks.data.leaks.spans import read_spans as read_spans
from avblocks.data.leaks.store import FingerprintStore as FingerprintStore
