"""Clips that a data set has in common with others: leaks.csv, a table and a clean list."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avblocks.csvlog import write_csv
from avblocks.data.datasets import Item
from avblocks.data.leaks import (
    AudioIndex,
    Fingerprint,
    FingerprintStore,
    FrameIndex,
    Match,
    fingerprint,
    overlaps,
)
from avblocks.data.pool import imap_unordered
from avblocks.progress import progress_bar
from recipes.check_data.sides import Side
from recipes.common.columns import align

SECONDS, VIDEO, APART = "same seconds", "same video, at unknown times", "same video, other seconds"
AUDIO, FRAMES = "same audio", "same frames"
OF_IDS, OF_MEDIA = (SECONDS, VIDEO, APART), (AUDIO, FRAMES)
_OF_IDS = {"overlap": SECONDS, "unknown": VIDEO, "apart": APART}
COLUMNS = ("kind", "id", "against", "other", "seconds", "frames", "error")
Prints = Mapping[str, Fingerprint]


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Two clips that have something in common, see `OF_IDS` and `OF_MEDIA`."""

    kind: str
    id: str
    against: str
    other: str
    seconds: float | None = None
    frames: int | None = None
    error: float | None = None

    def cells(self) -> list[str]:
        """Return the row of leaks.csv."""
        values = (self.seconds, self.frames, self.error)
        numbers = ["" if value is None else f"{value:.4g}" for value in values]
        return [self.kind, self.id, self.against, self.other, *numbers]


def id_leaks(side: Side, other: Side) -> Iterator[Leak]:
    """Yield the clips of the same videos, by the ids alone."""
    for pair in overlaps(side.spans.values(), other.spans.values()):
        yield Leak(
            kind=_OF_IDS[pair.kind],
            id=pair.id,
            against=other.name,
            other=pair.other,
            seconds=pair.seconds,
        )


def print_leaks(
    side: Side, other: Side, prints: Prints, *, known: set[tuple[str, str]]
) -> Iterator[Leak]:
    """Yield the clips of the same audio or frames, except pairs known to be of the same seconds."""
    there = [prints[item.path] for item in other.items]
    audio = AudioIndex([one.codes for one in there])
    frames = FrameIndex([one.hashes for one in there])

    def leak(kind: str, item: Item, match: Match) -> Leak:
        return Leak(
            kind=kind,
            id=item.id,
            against=other.name,
            other=other.items[match.index].id,
            seconds=match.count if kind == AUDIO else None,
            frames=int(match.count) if kind == FRAMES else None,
            error=match.error,
        )

    for item in progress_bar(side.items, f"compare with {other.name}", unit="clip"):
        one = prints[item.path]
        found = [leak(AUDIO, item, match) for match in audio.search(one.codes)]
        found += [leak(FRAMES, item, match) for match in frames.search(one.hashes)]
        yield from (each for each in found if (each.id, each.other) not in known)


def all_prints(items: Iterable[Item], folder: Path, *, workers: int, limit: float) -> Prints:
    """Fingerprint the clips that are not in a folder of fingerprints yet."""
    store, by_path = FingerprintStore(folder), {item.path: item for item in items}
    todo = [item for path, item in by_path.items() if path not in store.prints]
    done = len(by_path) - len(todo)
    bar = progress_bar(about="fingerprint", total=len(by_path), initial=done, unit="clip")
    with bar, store:
        for item, found, reason in imap_unordered(fingerprint, todo, workers=workers, limit=limit):
            store.add(found or Fingerprint(item.path, reason=reason))
            bar.update()
    return {path: store.prints[path] for path in by_path}


def write_leaks(path: Path, leaks: Iterable[Leak]) -> None:
    """Write a row for each pair of clips."""
    write_csv(path, COLUMNS, (leak.cells() for leak in leaks))


def write_clean(path: Path, side: Side, leaks: Iterable[Leak]) -> int:
    """Write the ids of the clips without a leak, as ``--data.list`` takes; return their number."""
    leaking = {leak.id for leak in leaks}
    clean = [key for key in side.spans if key not in leaking]
    write_csv(path, [], ([key] for key in clean))
    return len(clean)


def table(side: Side, others: Mapping[Side, Sequence[str]], leaks: Sequence[Leak]) -> str:
    """Return the numbers of pairs and clips of each kind that was searched."""
    lines = [[f"{side.name}: {len(side.spans):,} clips, against", "pairs", "clips", "of theirs"]]
    for other, kinds in others.items():
        lines.append([f"{other.name}: {len(other.spans):,} clips", "", "", ""])
        for kind in kinds:
            those = [one for one in leaks if (one.against, one.kind) == (other.name, kind)]
            counts = len(those), len({one.id for one in those}), len({one.other for one in those})
            lines.append([f"  {kind}", *(f"{count:,}" for count in counts)])
    return align(lines)
