"""`search_leaks`: search the clips that a data set has in common with others."""

from collections.abc import Iterator, Sequence

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
from recipes.check_data.settings import Config, Source, list_clips
from recipes.check_data.sides import LISTS, Side, among, list_side, other_side, set_side
from recipes.common.scene_sets import scenes_root


def search_leaks(config: Config) -> int:
    """Compare clips with others, write leaks.csv and a clean list, and print a table.

    Returns:
        The number of pairs that are leaks.
    """
    source, folder = config.data, config.run.folder
    side = _side(source)
    here = {"name": source.name, "root": source.root, "test_list": source.test_list}
    others = [other_side(text, **here) for text in config.against]
    same = [text for text, one in zip(config.against, others, strict=True) if one.same_as(side)]
    if same:
        raise ValueError(f"--against {same[0]} has the same clips: give another split or data set")
    pairs = [leak for other in others for leak in id_leaks(side, other)]
    both = [other for other in others if other.items and side.items and config.fingerprints]
    if both:
        pairs += _media_leaks(side, both, pairs, config)
    write_leaks(folder / "leaks.csv", pairs)
    for note in _plain_ids(side, others, both):
        print(note)
    print(table(side, {one: OF_IDS + OF_MEDIA * (one in both) for one in others}, pairs))
    print(f"list: {folder / 'leaks.csv'}")
    leaks = [leak for leak in pairs if config.exclude_videos or leak.kind != APART]
    if config.exclude is not None:
        clean = write_clean(config.exclude, side, leaks)
        print(f"{config.exclude}: {clean:,} clean clips of {len(side.spans):,}, for --data.list")
    return len(leaks)


def _side(source: Source) -> Side:
    """List the clips to compare."""
    if source.name != LISTS:
        side = set_side(list_clips(source), root=source.root or scenes_root())
        return side if source.list is None else among(side, source.list)
    if source.list is None:
        raise ValueError("the preset lists needs --data.list FILE, a list of ids")
    return list_side(source.list, split=source.split)


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
    side: Side, others: Sequence[Side], known: Sequence[Leak], config: Config
) -> list[Leak]:
    """Compare audio and frames, and count the clips that cannot be read."""
    items = [*side.items, *(item for other in others for item in other.items)]
    work = {"workers": config.data.workers, "limit": config.data.limit}
    prints = all_prints(items, config.run.folder / "fingerprints", **work)
    for path, one in prints.items():
        if one.reason:
            print(f"not compared: {path}: {one.reason}")
    same = {(leak.id, leak.other) for leak in known if leak.kind == SECONDS}
    return [leak for other in others for leak in print_leaks(side, other, prints, known=same)]
