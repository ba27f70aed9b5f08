"""`compare`: search the clips that a data set has in common with others."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from avblocks.data.leaks import names_video
from recipes.check_data.leaks import (
    APART,
    OF_IDS,
    OF_MEDIA,
    SECONDS,
    Leak,
    all_prints,
    id_leaks,
    print_leaks,
    table,
    write_clean,
    write_leaks,
)
from recipes.check_data.sides import Side


def compare(
    side: Side,
    others: Sequence[Side],
    *,
    folder: Path,
    exclude: Path | None,
    videos: bool,
    media: bool,
    workers: int,
    limit: float,
) -> int:
    """Compare clips with others, write leaks.csv and a clean list, and print a table.

    Args:
        side: The clips.
        others: The clips to compare them with.
        folder: Run folder.
        exclude: File of the clean list.
        videos: Whether other seconds of the same video are a leak.
        media: Whether to compare audio and frames too, not the ids alone.
        workers: Number of processes that decode.
        limit: Time limit per clip, seconds.

    Returns:
        The number of pairs that are leaks.
    """
    pairs = [leak for other in others for leak in id_leaks(side, other)]
    both = [other for other in others if other.items and side.items and media]
    if both:
        pairs += _media_leaks(side, both, pairs, folder=folder, workers=workers, limit=limit)
    write_leaks(folder / "leaks.csv", pairs)
    for note in _plain_ids(side, others, both):
        print(note)
    print(table(side, {one: OF_IDS + OF_MEDIA * (one in both) for one in others}, pairs))
    print(f"list: {folder / 'leaks.csv'}")
    leaks = [leak for leak in pairs if videos or leak.kind != APART]
    if exclude is not None:
        clean = write_clean(exclude, side, leaks)
        print(f"{exclude}: {clean:,} clean clips of {len(side.spans):,}, for --data.list")
    return len(leaks)


def _plain_ids(side: Side, others: Sequence[Side], both: Sequence[Side]) -> Iterator[str]:
    """Yield notes on lists that are compared by ids alone, and whose ids name no video."""
    alone = [other for other in others if other not in both]
    for one in (side, *alone) if alone else ():
        plain = [key for key, span in one.spans.items() if not names_video(span)]
        if plain:
            yield (
                f"note: {len(plain):,} of {len(one.spans):,} ids of {one.name}, such as "
                f"{plain[0]}, name no video: they are found only where others are equal"
            )


def _media_leaks(
    side: Side,
    others: Sequence[Side],
    known: Sequence[Leak],
    *,
    folder: Path,
    workers: int,
    limit: float,
) -> list[Leak]:
    """Compare audio and frames, and count the clips that cannot be read."""
    items = [*side.items, *(item for other in others for item in other.items)]
    prints = all_prints(items, folder / "fingerprints", workers=workers, limit=limit)
    for path, one in prints.items():
        if one.reason:
            print(f"not compared: {path}: {one.reason}")
    same = {(leak.id, leak.other) for leak in known if leak.kind == SECONDS}
    return [leak for other in others for leak in print_leaks(side, other, prints, known=same)]
