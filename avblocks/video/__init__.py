"""A video of any length: windows in, overlays and overlap-added audio out.

Files are read in one pass and results are written as they come, so memory does not grow with their
length.
"""

from avblocks.video.audio import stream_audio as stream_audio
from avblocks.video.batch import WindowBatch as WindowBatch
from avblocks.video.fit import fit_audio as fit_audio
from avblocks.video.overlap import OverlapAdd as OverlapAdd
from avblocks.video.overlap import overlap_add as overlap_add
from avblocks.video.overlay import Overlay as Overlay
from avblocks.video.overlay import blend_overlay as blend_overlay
from avblocks.video.overlay import make_overlay as make_overlay
from avblocks.video.overlay import palette_overlay as palette_overlay
from avblocks.video.spectrogram import SpectrogramStrip as SpectrogramStrip
from avblocks.video.windows import VideoWindows as VideoWindows
from avblocks.video.windows import merge_windows as merge_windows
from avblocks.video.windows import open_windows as open_windows
from avblocks.video.write import video_size as video_size
from avblocks.video.write import write_overlay as write_overlay
from avblocks.video.write import write_overlays as write_overlays
