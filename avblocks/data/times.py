"""`window_times`: the seconds of the evenly spaced windows of a video."""

from avblocks.data.datasets.clipset import Item
from avblocks.data.decode.audio import extent
from avblocks.data.decode.media import of_media


def window_times(item: Item, *, seconds: float, windows: int) -> list[tuple[float, float]] | None:
    """Return start and end of each window, seconds from the beginning of the audio.

    The windows are those of `ClipDataset`: evenly spaced from the start of the audio to its end, or
    a single one in the middle.

    Returns:
        The times; `None` for audio files with images, whose windows depend on the images.

    Raises:
        ClipError: If the file cannot be opened.
    """
    if item.images:
        return None
    start, end = of_media(item.path, extent)
    length = end - start
    slack = max(length - seconds, 0.0)
    places = [n / (windows - 1) for n in range(windows)] if windows > 1 else [0.5]
    return [(place * slack, min(place * slack + seconds, length)) for place in places]
