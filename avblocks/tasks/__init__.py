"""Tasks: modules of a front end, an encoder and a head, with their losses, outputs and scores.

Each task has a module (`Pretraining`, `Classification`, `Localization`, `Separation`,
`Segmentation`) that returns the losses of a batch, and a scorer for `evaluate`.
"""

from avblocks.tasks.cache import FeatureDataset as FeatureDataset
from avblocks.tasks.cache import encode_once as encode_once
from avblocks.tasks.classify import Classification as Classification
from avblocks.tasks.classify import clip_frequency as clip_frequency
from avblocks.tasks.classify import start_biases as start_biases
from avblocks.tasks.classify_scores import ClassificationScorer as ClassificationScorer
from avblocks.tasks.embed import Embedding as Embedding
from avblocks.tasks.evaluate import HeadTask as HeadTask
from avblocks.tasks.evaluate import Scorer as Scorer
from avblocks.tasks.evaluate import Scores as Scores
from avblocks.tasks.evaluate import Task as Task
from avblocks.tasks.evaluate import evaluate as evaluate
from avblocks.tasks.evaluate import evaluation_mode as evaluation_mode
from avblocks.tasks.evaluate import first_batch as first_batch
from avblocks.tasks.evaluate import first_row as first_row
from avblocks.tasks.load import LoadedTask as LoadedTask
from avblocks.tasks.load import load_task as load_task
from avblocks.tasks.load import save_task as save_task
from avblocks.tasks.localize import Localization as Localization
from avblocks.tasks.localize_scores import LocalizationScorer as LocalizationScorer
from avblocks.tasks.localize_scores import localization_examples as localization_examples
from avblocks.tasks.multilabel import multilabel_rows as multilabel_rows
from avblocks.tasks.multilabel import relabeled as relabeled
from avblocks.tasks.multilabel import tagged_rows as tagged_rows
from avblocks.tasks.predictions import Predictions as Predictions
from avblocks.tasks.pretrain import MaskedAutoencoder as MaskedAutoencoder
from avblocks.tasks.pretrain import Pretraining as Pretraining
from avblocks.tasks.pretrain import reconstruction_examples as reconstruction_examples
from avblocks.tasks.probe import ProbeScorer as ProbeScorer
from avblocks.tasks.segment import Segmentation as Segmentation
from avblocks.tasks.segment_scores import SegmentationScorer as SegmentationScorer
from avblocks.tasks.segment_scores import segmentation_examples as segmentation_examples
from avblocks.tasks.separate import Separation as Separation
from avblocks.tasks.separate_scores import SeparationExamples as SeparationExamples
from avblocks.tasks.separate_scores import SeparationScorer as SeparationScorer
from avblocks.tasks.separate_scores import separation_examples as separation_examples
from avblocks.tasks.two_sources import TwoSourceScorer as TwoSourceScorer
