"""Measure how often a re-encoded clip is found by its fingerprints, and how often another one is.

python -m tests.media.leaks         (about five minutes on one core; writes docs/results)
"""

import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from leak_clips import ENCODINGS, write  # noqa: E402

from avblocks.data.datasets import Item  # noqa: E402
from avblocks.data.leaks import AudioIndex, Fingerprint, FrameIndex, fingerprint  # noqa: E402
from avblocks.files import write_text  # noqa: E402

CLIPS = 60


def main() -> None:
    """Write docs/results/leaks.json."""
    prints: dict[str, list[Fingerprint]] = {name: [] for name in ENCODINGS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(CLIPS):
            for name, how in ENCODINGS.items():
                path = write(Path(folder) / str(number), number, how)
                prints[name].append(fingerprint(Item(id=str(path), path=str(path))))
                path.unlink()
    plain = prints["same"]
    audio = AudioIndex([one.codes for one in plain])
    frames = FrameIndex([one.hashes for one in plain])
    rows = {}
    for name, those in prints.items():
        heard = [{match.index for match in audio.search(one.codes)} for one in those]
        shown = [{match.index for match in frames.search(one.hashes)} for one in those]
        rows[name.replace(",", "").replace(" ", "_").replace("/", "_").replace(".", "_")] = {
            "audio_missed_percent": missed(heard),
            "frames_missed_percent": missed(shown),
            "both_missed_percent": missed([a | b for a, b in zip(heard, shown, strict=True)]),
            "audio_false_pairs": false(heard),
            "frames_false_pairs": false(shown),
        }
    content = {"clips": CLIPS, "unrelated_pairs": CLIPS * (CLIPS - 1), "encodings": rows}
    write_text(ROOT / "docs" / "results" / "leaks.json", json.dumps(content, indent=2) + "\n")
    print(json.dumps(content, indent=2))


def missed(found: list[set[int]]) -> float:
    """The share of clips that were not found."""
    return round(100 * sum(n not in those for n, those in enumerate(found)) / len(found), 1)


def false(found: list[set[int]]) -> int:
    """The number of pairs of unrelated clips."""
    return sum(len(those - {number}) for number, those in enumerate(found))


if __name__ == "__main__":
    main()
