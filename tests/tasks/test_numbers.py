"""Every constructor of a task refuses impossible values, and names the argument that was given."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from small_clips import FORMAT, encoder

from avblocks import av_mae, zoo
from avblocks.audio import MelMasking
from avblocks.data import FrontEnd
from avblocks.heads import AudioStatisticsContrast, Localizer, classifier, segmenter, separator
from avblocks.log_frequency import LogFrequencyMasking
from avblocks.tasks import (
    Classification,
    Embedding,
    Localization,
    Pretraining,
    Segmentation,
    Separation,
    SeparationScorer,
    TwoSourceScorer,
)

NAN, INF = float("nan"), float("inf")
SHARE = [-0.1, 1.0, 2.0, NAN, INF]
WEIGHT = [-1.0, -1e-9, NAN, INF, -INF]
COUNT = [-1, 1.5, INF]
ABOVE_ZERO = [0.0, -0.1, NAN, INF]
CLIPS = {"front_end": FrontEnd(FORMAT)}


def pretraining(**given: float) -> Pretraining:
    mae = av_mae(encoder(), dim=16, depth=1, num_heads=2)
    contrast = AudioStatisticsContrast(16, mels=32, components=8)
    return Pretraining(mae, contrast=contrast, **CLIPS, **given)


def classification(**given: object) -> Classification:
    return Classification(encoder(), classifier(16, num_classes=3), **CLIPS, **given)


def localization(**given: object) -> Localization:
    return Localization(encoder(), Localizer(16), **{**CLIPS, **given})


def segmentation(**given: object) -> Segmentation:
    head = segmenter(16, num_classes=1, patch=8, num_layers=1, min_width=8, hidden=8)
    return Segmentation(encoder(), head, **{**CLIPS, **given})


def separation(**given: object) -> Separation:
    head = separator(16, patch=8, num_layers=1)
    return Separation(encoder(), head, **CLIPS, **given)


def cavmae(**given: float) -> zoo.CAVMAE:
    sizes = {"image_size": 16, "audio_size": (32, 32), "patch": 8, "decoder_depth": 1}
    return zoo.cavmae(16, depth=1, num_heads=2, decoder_dim=16, decoder_heads=2, **sizes, **given)


# A call that is possible as it stands, and for each argument the values that are not.
TABLE: list[tuple[Callable, dict[str, list]]] = [
    (pretraining, {"left_out": SHARE, "contrast_weight": WEIGHT, "cutmix": WEIGHT}),
    (
        classification,
        {"mixup": WEIGHT, "cutmix": WEIGHT, "smoothing": SHARE, "left_out": SHARE, "given": ["x"]},
    ),
    (
        localization,
        {"temperature": ABOVE_ZERO, "local": [*COUNT, 2], "patches": [0.0, 1.1, NAN]}
        | {"negatives": COUNT, "positives": [-0.1, 0.6, NAN]},
    ),
    (segmentation, {"negatives": SHARE, "dice": WEIGHT}),
    (separation, {"sources": [0, -1, 1.5, INF], "masks": ["x"]}),
    (partial(Embedding, encoder(), **CLIPS), {"pooling": ["x"]}),
    (lambda **given: SeparationScorer(separation(), **given), {"dropped": ["x"]}),
    (
        lambda **given: TwoSourceScorer(localization(), **{"rule": "vggss", **given}),
        {"rule": ["x"]},
    ),
    (partial(MelMasking, n_mels=16), {"threshold": [NAN, INF, "0.5"]}),
    (partial(LogFrequencyMasking, bins=16), {"threshold": [NAN, INF, "0.5"]}),
    (cavmae, {"contrast_weight": WEIGHT, "temperature": ABOVE_ZERO}),
    (partial(AudioStatisticsContrast, 16, mels=32), {"temperature": ABOVE_ZERO}),
]
CASES = [
    (build, name, value)
    for build, refused in TABLE
    for name, values in refused.items()
    for value in values
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("build", "name", "value"), CASES)
def test_impossible_values(build: Callable, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got ") as info:
        build(**{name: value})
    assert str(info.value).endswith(f"got {value!r}")


@pytest.mark.parametrize("build", [localization, segmentation])
def test_maps_are_of_one_image(build: Callable) -> None:
    videos = FrontEnd(replace(FORMAT, frames=2))
    with pytest.raises(ValueError, match=r"format.frames must be 1: .*one image.*, got 2"):
        build(front_end=videos)


@pytest.mark.parametrize("build", [build for build, _ in TABLE])
def test_the_calls_are_possible_as_they_stand(build: Callable) -> None:
    assert build() is not None


@pytest.mark.parametrize(
    ("build", "given"),
    [
        (pretraining, {"left_out": 0.0, "contrast_weight": 0.0, "cutmix": 0.0}),
        (pretraining, {"left_out": 0.99, "contrast_weight": 1e3, "cutmix": 8.0}),
        (classification, {"mixup": 0.0, "cutmix": 0.2, "smoothing": 0.0}),
        (classification, {"mixup": 8.0, "smoothing": 0.99, "left_out": 0.99}),
        (localization, {"local": 1, "negatives": 0, "positives": 0.5, "patches": 1.0}),
        (separation, {"sources": 3}),
    ],
)
def test_the_ends_of_the_ranges(build: Callable, given: dict[str, float]) -> None:
    assert build(**given).training
