"""Task heads that map tokens to classes, maps and masks, and their losses."""

from avblocks.heads.balance import balanced_bias as balanced_bias
from avblocks.heads.balance import balanced_loss as balanced_loss
from avblocks.heads.balance import class_frequency as class_frequency
from avblocks.heads.classify import Classifier as Classifier
from avblocks.heads.classify import Logits as Logits
from avblocks.heads.classify import StreamHead as StreamHead
from avblocks.heads.classify import classifier as classifier
from avblocks.heads.contrast import contrast_loss as contrast_loss
from avblocks.heads.contrast import info_nce as info_nce
from avblocks.heads.contrast import max_mean_similarity as max_mean_similarity
from avblocks.heads.fusion_map import fusion_map as fusion_map
from avblocks.heads.localize import Localizer as Localizer
from avblocks.heads.localize import localization_loss as localization_loss
from avblocks.heads.localize import to_frame as to_frame
from avblocks.heads.pool import AttentivePool as AttentivePool
from avblocks.heads.pool import MeanPool as MeanPool
from avblocks.heads.pyramid import Pyramid as Pyramid
from avblocks.heads.segment import Segmenter as Segmenter
from avblocks.heads.segment import segmentation_loss as segmentation_loss
from avblocks.heads.segment import segmenter as segmenter
from avblocks.heads.separate import Separator as Separator
from avblocks.heads.separate import binary_mask as binary_mask
from avblocks.heads.separate import ratio_mask as ratio_mask
from avblocks.heads.separate import separation_loss as separation_loss
from avblocks.heads.separate import separator as separator
