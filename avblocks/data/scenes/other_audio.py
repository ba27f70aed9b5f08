"""Test scenes with the audio of another scene: of an object off screen, or of a silent one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from avblocks.data.datasets.clipset import Box, ClipSet, Item
from avblocks.data.groups import FixedGroups
from avblocks.data.scenes.classes import LOOKS, TIMBRES_OF_LOOK
from avblocks.data.scenes.files import read_notes
from avblocks.data.scenes.pairs import sounding_parts


def scene_off_screen(clips: ClipSet) -> FixedGroups:
    """Pair scenes with the audio of another whose timbre no visible object has, silent ones too.

    Scenes whose objects have all timbres are left out.

    Args:
        clips: Test scenes in the layout of VGG-SS, with one sounding object each.

    Raises:
        ValueError: If an annotation is missing or wrong, or no scene has a partner.
    """
    timbres = [parts[0][0] for parts in sounding_parts(clips)]
    pairs = []
    for index, (item, parts) in enumerate(zip(clips.items, sounding_parts(clips), strict=True)):
        looks = [parts[0][1], *(look for look, _ in _silent(item))]
        visible = {timbre for look in looks for timbre in TIMBRES_OF_LOOK[look]}
        partner = next((n for n in _after(index, clips) if timbres[n] not in visible), None)
        if partner is not None:
            pairs.append((index, partner))
    return FixedGroups(tuple(pairs))


def scene_second_sources(clips: ClipSet) -> tuple[ClipSet, FixedGroups]:
    """Find audio for the silent objects of scenes, for `TwoSourceScorer`.

    Args:
        clips: As in `scene_off_screen`.

    Returns:
        The scenes, followed by copies of scenes that have the box of a silent object in place of
        that of the sounding one; and groups of three: a scene, its copy, and a scene whose audio
        fits only the silent object.

    Raises:
        ValueError: As in `scene_off_screen`.
    """
    parts = sounding_parts(clips)
    timbres = [some[0][0] for some in parts]
    others: list[Item] = []
    groups = []
    for index, item in enumerate(clips.items):
        for look, box in _silent(item):
            fits = set(TIMBRES_OF_LOOK[look]) - set(TIMBRES_OF_LOOK[parts[index][0][1]])
            partner = next((n for n in _after(index, clips) if timbres[n] in fits), None)
            if partner is not None and any(box):
                groups.append((index, len(clips) + len(others), partner))
                others.append(replace(item, boxes=(box,)))
    return replace(clips, items=(*clips.items, *others)), FixedGroups(tuple(groups))


def _after(index: int, clips: ClipSet) -> Iterator[int]:
    """All other indices, from the next one on, so that partners differ."""
    return (step % len(clips) for step in range(index + 1, index + len(clips)))


def _silent(item: Item) -> list[tuple[int, Box]]:
    """Look and box in the middle frame of the silent objects of a scene."""
    notes = read_notes(Path(item.path).parents[2] / "annotations" / f"{item.id[:11]}.json")
    middle = notes["silent_boxes"][len(notes["silent_boxes"]) // 2]
    looks = [LOOKS.index(name) for name in notes["silent"]]
    return [(look, _box(box)) for look, box in zip(looks, middle, strict=True)]


def _box(sides: list[float]) -> Box:
    left, top, right, bottom = sides
    return left, top, right, bottom
