"""Screenshots of the demo, in ``docs/figures``: a wide and light one, and a narrow and dark one.

Start the demo, then give its address and a video. Needs Chromium and ``pip install playwright``::

    python -m recipes.demo --checkpoint RUN...
    python docs/screenshots.py http://127.0.0.1:7860 clip.mp4
"""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

FIGURES = Path(__file__).parent / "figures"
SIZES = {"demo.jpg": (1280, 1060, "light"), "demo-narrow.jpg": (400, 1060, "dark")}
"""Width and height in pixels, and color scheme, of each file."""


def shoot(browser: Browser, url: str, video: Path, name: str) -> None:
    """Run the models on a video, and save what the window then shows."""
    width, height, scheme = SIZES[name]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(600_000)
    page.goto(url)
    page.set_input_files("#video input[type=file]", video)
    page.wait_for_selector("#video video")
    page.click("#run")
    page.wait_for_selector("#results .av-section, #results .av-alert")
    page.evaluate("document.querySelectorAll('#results video').forEach(v => v.currentTime = 1)")
    page.wait_for_timeout(3000)  # until the videos are painted
    if width < 700:
        page.evaluate("document.querySelector('#run').scrollIntoView()")
    page.screenshot(path=FIGURES / name, type="jpeg", quality=80)
    context.close()


def main() -> None:
    """Read the command line, and save all screenshots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="address that the demo prints")
    parser.add_argument("video", type=Path)
    given = parser.parse_args()
    with sync_playwright() as play:
        options = ["--no-sandbox"]  # as root, Chromium starts only so
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        for name in SIZES:
            shoot(browser, given.url, given.video, name)
        browser.close()


if __name__ == "__main__":
    main()
