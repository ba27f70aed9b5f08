"""Clips of sound and picture, and the way from files to batches."""

from avblocks.data.batch import AVBatch as AVBatch
from avblocks.data.batch import Skipped as Skipped
from avblocks.data.batch import collate as collate
from avblocks.data.clip import AVClip as AVClip
from avblocks.data.clip import ClipError as ClipError
from avblocks.data.clip import Frames as Frames
from avblocks.data.dataset import ClipDataset as ClipDataset
from avblocks.data.dataset import TooManySkippedError as TooManySkippedError
from avblocks.data.frontend import FrontEnd as FrontEnd
from avblocks.data.keyed import KeyedBatches as KeyedBatches
from avblocks.data.keyed import sample_generator as sample_generator
from avblocks.data.keyed import sample_seed as sample_seed
from avblocks.data.read import read_clip as read_clip
from avblocks.data.transforms import Normalize as Normalize
from avblocks.data.transforms import apply_gain as apply_gain
from avblocks.data.transforms import center_crop as center_crop
from avblocks.data.transforms import flip_images as flip_images
from avblocks.data.transforms import random_resized_crop as random_resized_crop
from avblocks.data.write import write_clip as write_clip
from avblocks.data.write import write_picture as write_picture
