"""What a trained model finds in a video, written into a folder."""

from pathlib import Path

from avblocks.tasks import Classification, Localization, Segmentation, Separation
from avblocks.video import VideoWindows
from recipes.predict.classes import write_classes
from recipes.predict.overlays import write_localization, write_segmentation
from recipes.predict.sources import Guides, write_sources
from recipes.predict.trained import TrainedModel


def write_results(
    trained: TrainedModel,
    windows: VideoWindows,
    folder: Path,
    *,
    batch: int,
    guides: Guides = "whole",
) -> list[str]:
    """Run a model on all windows of a video, `batch` at a time, and write the results.

    Returns:
        Lines for the user: a summary, and the names of the files.

    Raises:
        ClipError: If the video cannot be decoded; then nothing of this model is written.
    """
    batches = windows.batches(batch, progress=f"{Path(windows.path).name} {trained.task}")
    summary: list[str] = []
    match trained.model:
        case Classification() as model:
            summary, files = write_classes(model, trained.classes, windows, batches, folder)
        case Localization() as model:
            files = write_localization(model, windows, batches, folder)
        case Segmentation() as model:
            files = write_segmentation(model, trained.classes, windows, batches, folder)
        case Separation() as model:
            files = write_sources(model, windows, batches, folder, guides=guides)
        case _:
            raise TypeError(f"{trained.path}: no predictions for the task {trained.task}")
    return [*summary, f"in {folder}: {' '.join(files)}"]
