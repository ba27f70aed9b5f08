"""The page of the demo in a real browser: upload, record, run, refusals, visitors, their files."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from toy_runs import ToyRun

from recipes.benchmark.footage import write_footage

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = [name for name in ("gradio", "playwright") if find_spec(name) is None]
MISSING += [] if CHROMIUM else ["chromium"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed"),
]

WAIT = 400_000  # milliseconds, as the machine may be busy
# Whether a player plays: it has a length, and its time advances.
PLAYS = """async player => {
    player.muted = true;
    await player.play();
    for (let n = 0; n < 100 && !player.currentTime; n++) await new Promise(f => setTimeout(f, 50));
    return player.duration > 0 && player.currentTime > 0;
}"""


class Server:
    """A demo of toy runs in a process of its own."""

    def __init__(self, words: list[str], temp: Path, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.temp, self.log, self.url = temp, log, f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "recipes.demo", *words, "--port", str(port)]
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [*command, "--temp", str(temp)], stdout=out, stderr=subprocess.STDOUT
            )
        try:
            self.wait(lambda: "open http" in log.read_text() or self.process.poll() is not None)
            assert self.process.poll() is None, log.read_text()
        except AssertionError:
            self.stop()
            raise

    def stop(self) -> int:
        """End it as a service manager does; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT / 1000)

    def files(self) -> list[str]:
        """Names of the files of visitors, except the empty ones that `gr.File` makes."""
        folders = [*self.temp.glob("*/uploads"), *self.temp.glob("*/results")]
        paths = (path for folder in folders for path in folder.rglob("*"))
        return sorted(p.name for p in paths if p.is_file() and p.stat().st_size)

    def wait(self, done: Callable[[], bool]) -> None:
        until = time.monotonic() + WAIT / 1000
        while not done():
            assert time.monotonic() < until, (self.files(), self.log.read_text())
            time.sleep(0.1)


@pytest.fixture(scope="module")
def server(
    toy_run: Callable[[str], ToyRun],
    toy_scenes: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    runs = [str(toy_run(name).folder) for name in ("finetune", "localize", "semantic", "separate")]
    place = tmp_path_factory.mktemp("demo")
    (place / "temp").mkdir()
    words = ["--checkpoint", *runs, "--folder", str(toy_scenes / "clips"), "--max-mb", "1"]
    words += ["--encoder", str(toy_run("pretrain").folder), "--device", "cpu"]
    one = Server(words, place / "temp", place / "log.txt")
    yield one
    one.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        options += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        one = play.chromium.launch(executable_path=CHROMIUM, args=options)
        yield one
        one.close()


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("footage")
    for number, (name, seconds) in enumerate({"street": 1.3, "park": 2.1}.items()):
        write_footage(folder / f"{name}.mp4", number=number, seconds=seconds, height=48, keys=12)
    return folder / "street.mp4", folder / "park.mp4"


@pytest.fixture
def visit(browser: Any, server: Server) -> Iterator[Callable[[], Any]]:
    """Open the page as another visitor."""
    contexts = []

    def enter() -> Any:
        contexts.append(browser.new_context(permissions=["camera", "microphone"]))
        page = contexts[-1].new_page()
        page.set_default_timeout(WAIT)
        page.goto(server.url)
        page.wait_for_selector("#run")
        return page

    yield enter
    for context in contexts:
        context.close()
    server.wait(lambda: not server.files())


def run(page: Any, video: Path | None = None) -> None:
    """Start a run, of another video if one is given."""
    if video is not None:
        page.set_input_files("#video input[type=file]", video)
        page.wait_for_selector("#video video")
    page.click("#run")


def players(page: Any) -> dict[str, Any]:
    """Wait for the results; return their players by file."""
    page.wait_for_selector("#av-nearest")
    found = page.query_selector_all("#results video, #results audio")
    return {player.get_attribute("src").rpartition("/")[2]: player for player in found}


def test_results_can_be_played_and_nothing_comes_from_outside(
    visit: Callable[[], Any], videos: tuple[Path, Path], server: Server
) -> None:
    page = visit()
    hosts, errors = set(), []
    page.on("request", lambda request: hosts.add(re.sub(r"^(\w+://[^/]+).*", r"\1", request.url)))
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.reload()
    page.wait_for_selector("#run")
    assert "Classification trained on vggsound, 8 clips" in page.inner_text(".av-head")
    run(page, videos[0])
    found = players(page)
    names = {"localization.mp4", "segmentation.mp4", "separated.wav", "rest.wav"}
    assert names < set(found) and len(found) == len(names) + 3
    assert all(player.evaluate(PLAYS) for player in found.values())
    assert found["localization.mp4"].evaluate("player => player.duration") > 1.2
    assert page.query_selector("#av-classification dd i") is not None
    assert {host for host in hosts if not host.startswith(("blob:", "data:"))} == {server.url}
    assert errors == []


def test_a_recording_of_a_camera_is_used(visit: Callable[[], Any]) -> None:
    page = visit()
    page.click("#video button[aria-label='Capture from camera']")
    page.click("text=Click to Access Webcam")
    page.click("#video button:has-text('Record')")
    page.wait_for_timeout(8000)  # the page keeps what the encoder has given until "Stop"
    page.click("#video button:has-text('Stop')")
    page.wait_for_selector("#video video[src]")
    run(page)
    found = players(page)
    assert found["localization.mp4"].evaluate(PLAYS) and found["separated.wav"].evaluate(PLAYS)
    assert found["localization.mp4"].evaluate("player => player.duration") > 1


def test_muting_is_compared_with_the_matched_audio(
    visit: Callable[[], Any], videos: tuple[Path, Path]
) -> None:
    page = visit()
    run(page, videos[0])
    assert "audio.wav" not in players(page)
    page.get_by_label("Muted").check()
    run(page)
    page.wait_for_selector("#av-history")
    rows = page.inner_text("#av-history").splitlines()
    assert [row.split("\t")[0] for row in rows[1:]] == ["Audio", "Its own audio", "Muted"]
    peak = """async player => {
        const bytes = await (await fetch(player.src)).arrayBuffer();
        return Math.max(...new Int16Array(bytes.slice(44)).map(Math.abs));
    }"""
    assert players(page)["audio.wav"].evaluate(peak) == 0
    page.get_by_label("Audio of another file").check()
    page.set_input_files("#other input[type=file]", videos[1])
    page.wait_for_selector("#other .file-preview")
    run(page)
    page.wait_for_function("document.querySelectorAll('#av-history tr').length == 4")
    assert players(page)["audio.wav"].evaluate(peak) > 100


def test_files_that_cannot_be_used_are_named(
    visit: Callable[[], Any], videos: tuple[Path, Path], tmp_path: Path
) -> None:
    page = visit()
    run(page)
    page.wait_for_selector("text=No video: drop or record one first.")
    (tmp_path / "broken.mp4").write_text("no video")
    run(page, tmp_path / "broken.mp4")
    page.wait_for_selector("#results .av-alert :text('broken.mp4')")
    text = page.inner_text("#results .av-alert")
    assert "cannot be opened as mp4" in text and "Take another file" in text
    page.click("#video button[aria-label=Clear]")
    for name, size, reason in (("photo.jpg", 9, "Only video"), ("large.mp4", 2**21, "exceed")):
        (tmp_path / name).write_bytes(bytes(size))
        page.set_input_files("#video input[type=file]", tmp_path / name)
        page.wait_for_selector(f".toast-body:has-text('{name}'):has-text('{reason}')")
    run(page, videos[0])
    assert players(page)


def test_two_visitors_get_their_own_results(
    visit: Callable[[], Any], videos: tuple[Path, Path]
) -> None:
    pages = [visit(), visit()]
    for page, video in zip(pages, videos, strict=True):
        run(page, video)
    found = [players(page)["localization.mp4"] for page in pages]
    lengths = [player.evaluate("player => player.duration") for player in found]
    assert lengths == pytest.approx([1.3, 2.1], abs=0.15)
    folders = [player.get_attribute("src").split("/")[1] for player in found]
    assert folders[0] != folders[1]


def test_who_leaves_takes_only_their_own_files(
    visit: Callable[[], Any], videos: tuple[Path, Path], server: Server
) -> None:
    ann, ben = visit(), visit()
    for page in (ann, ben):
        run(page, videos[0])
    kept = players(ben)["separated.wav"]
    players(ann)
    assert server.files().count("localization.mp4") == 2
    assert server.files().count("street.mp4") == 1  # uploads with the same content are one file
    ann.close()
    server.wait(lambda: server.files().count("localization.mp4") == 1)
    assert "street.mp4" in server.files() and kept.evaluate(PLAYS)
    ben.goto("about:blank")
    server.wait(lambda: server.files() == [])


def test_a_run_ends_when_its_visitor_leaves(
    visit: Callable[[], Any], videos: tuple[Path, Path], server: Server
) -> None:
    page = visit()
    run(page, videos[1])
    server.wait(lambda: bool(list(server.temp.glob("*/results/*/*"))))
    page.close()
    server.wait(lambda: server.files() == [])
    page = visit()
    run(page, videos[0])
    assert players(page)


def test_a_stopped_server_leaves_nothing(toy_run: Callable[[str], ToyRun], tmp_path: Path) -> None:
    (tmp_path / "temp").mkdir()
    words = ["--checkpoint", str(toy_run("finetune").folder), "--device", "cpu"]
    server = Server(words, tmp_path / "temp", tmp_path / "log.txt")
    assert any(server.temp.iterdir())
    busy = subprocess.run(
        [sys.executable, "-m", "recipes.demo", *words, "--port", server.url.rpartition(":")[2]],
        capture_output=True,
        text=True,
    )
    assert busy.returncode == 2 and "cannot be served (Address already in use)" in busy.stderr
    assert server.stop() == 143 and not any(server.temp.iterdir())
