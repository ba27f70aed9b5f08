"""What published lists have in common, counted by the video ids and seconds in their lines."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.media.lists import AGAINST, NAMES, RESULTS, common


@pytest.fixture
def annotations() -> Path:
    """The folder of published annotations; the test is skipped where it is absent."""
    given = os.environ.get("AVBLOCKS_ANNOTATIONS")
    folder = Path(given) if given else Path(__file__).parents[3] / "shared" / "annotations"
    if not folder.is_dir():
        pytest.skip(f"AVBLOCKS_ANNOTATIONS is not set and {folder} is absent")
    return folder


def test_the_page_shows_what_the_lists_have_in_common(annotations: Path) -> None:
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert common(annotations) == rows
    test = set(re.findall(r"(.{11}_\d{6}),", (annotations / AGAINST).read_text()))
    videos = {key[:11] for key in test}
    for name, ids in (
        ("vggss", re.findall(r'"(.{11}_\d{6})"', (annotations / NAMES["vggss"]).read_text())),
        ("vggmusic", re.findall(r"(.{11}_\d{6}),", (annotations / NAMES["vggmusic"]).read_text())),
    ):
        assert rows[name]["ids"] == len(set(ids)) == rows[name]["same seconds"]
        assert set(ids) <= test
    frames = (annotations / NAMES["avsbench_val"]).read_text().split()
    known = [line for line in frames if line[:11] in videos]
    assert rows["avsbench_val"]["same video, at unknown times"] == len(known)
