"""Results, models and refusals as HTML, for the page of the demo."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from avblocks.data import ClipError
from avblocks.tasks import LoadedTask
from recipes.demo.analysis import Outcome
from recipes.demo.nearest import Neighbor
from recipes.demo.timeline import Classes, draw_timeline
from recipes.predict.results import FILES

_AUDIO = {
    "separated.wav": "Separated",
    "rest.wav": "Rest",
    "left.wav": "Left half",
    "right.wav": "Right half",
}
_SHOWN = 20  # classes of a model that are listed
_REMEDIES = {
    "no audio stream": "The models need images and audio: take a video with audio.",
    "no such file": "Its temporary copy was deleted when the connection was lost: drop it again.",
    "the file is empty": "Take another file; of a recording, record for some seconds.",
}
_VIDEO = "Take another file: an mp4, mov, mkv, webm or avi video with images and audio."
_OTHER = "Take another file: a wav, flac, ogg, mp3 or m4a file, or a video with audio."


def render_models(models: Sequence[LoadedTask]) -> str:
    """Describe each model: its task, its file, what it was trained on, and its classes."""
    cards = []
    for one in models:
        names = ", ".join(one.classes[:_SHOWN])
        more = len(one.classes) - _SHOWN
        names += f" and {more} more" if more > 0 else ""
        about = one.trained_on or "data that its file does not name"
        texts = {"Trained on": about, "Classes": names or "none", "File": str(one.path)}
        lines = (f"<p><b>{name}</b> {escape(text)}</p>" for name, text in texts.items())
        cards.append(f"<li><h3>{one.name.capitalize()}</h3>{''.join(lines)}</li>")
    return f'<ul class="av-models">{"".join(cards)}</ul>'


def render_refusal(error: ClipError, *, other: Path | None = None) -> str:
    """Name a file that cannot be used, the video or the other audio, the reason, and a remedy."""
    reason = error.reason or "it cannot be used"
    of_other = other is not None and error.path == str(other)
    remedy = _REMEDIES.get(reason, _OTHER if of_other else _VIDEO)
    return render_error(Path(error.path).name, reason, remedy)


def render_error(what: str, reason: str, remedy: str = "") -> str:
    """Render an error as what failed, the reason, and a remedy."""
    end = f"<br>{escape(remedy)}" if remedy else ""
    return f'<div class="av-alert" role="alert"><b>{escape(what)}</b>: {escape(reason)}.{end}</div>'


def render_results(outcome: Outcome, *, url: str, clips: Sequence[str]) -> str:
    """Render what the models found.

    Args:
        outcome: Results and their folder.
        url: Address of the folder.
        clips: Addresses of copies of the nearest clips.
    """
    there = {path.name for path in outcome.folder.iterdir()}
    parts = [f'<p class="av-remark">{escape(text)}</p>' for text in outcome.remarks]
    if "audio.wav" in there:
        parts.append(_player("audio.wav", "Audio that the models were given", url))
    if "classes.csv" in there:
        classes = Classes.read(outcome.folder / "classes.csv")
        lines = "".join(f"<li>{escape(line)}</li>" for line in classes.lines())
        text = "A stronger color is more likely; the scale ends at the highest probability."
        body = f'<ul class="av-lines">{lines}</ul>{draw_timeline(classes)}'
        parts.append(_section("classification", "Classes over time", text, body))
    if "localization.mp4" in there:
        text = (
            "The heat map is the similarity of each place to the audio. Each window has its own "
            "scale: some place is bright even for silence."
        )
        body = _video(f"{url}/localization.mp4", "Video with a heat map")
        parts.append(_section("localization", "Sound localization", text, body))
    if "segmentation.mp4" in there:
        legend = _image(f"{url}/segmentation.png", "Colors of the classes", there)
        body = _video(f"{url}/segmentation.mp4", "Video with masks") + legend
        text = "Colored pixels belong to sounding objects."
        parts.append(_section("segmentation", "Segmentation", text, body))
    if "separated.wav" in there:
        players = [_player(name, title, url) for name, title in _AUDIO.items() if name in there]
        body = "".join(players) + _image(f"{url}/separation.png", "Spectrograms", there)
        text = "The images guide which audio is separated from the mixture."
        parts.append(_section("separation", "Sound separation", text, body))
    if outcome.neighbors:
        body = "".join(_neighbors(outcome.neighbors, clips))
        text = "Clips of the folder of the server whose features are most similar."
        grid = f'<div class="av-grid">{body}</div>'
        parts.append(_section("nearest", "Nearest clips", text, grid))
    return "".join(parts)


def _section(name: str, title: str, text: str, body: str) -> str:
    return (
        f'<section class="av-section" id="av-{name}"><h2>{title}</h2>'
        f'<p class="av-about">{text}</p>{body}</section>'
    )


def _video(source: str, label: str) -> str:
    return (
        f'<video controls playsinline preload="auto" src="{escape(source)}" '
        f'aria-label="{escape(label)}"></video>'
    )


def _player(name: str, title: str, url: str) -> str:
    about = FILES.get(name, "")
    text = f" <span>{about}</span>" if about else ""
    return (
        f'<figure class="av-audio"><figcaption><b>{title}</b>{text}</figcaption>'
        f'<audio controls preload="metadata" src="{url}/{name}" aria-label="{title}"></audio>'
        "</figure>"
    )


def _image(source: str, label: str, there: set[str]) -> str:
    if source.rpartition("/")[2] not in there:
        return ""
    return f'<img class="av-figure" src="{escape(source)}" alt="{label}">'


def _neighbors(neighbors: Sequence[Neighbor], clips: Sequence[str]) -> Iterator[str]:
    for one, source in zip(neighbors, clips, strict=True):
        caption = f"<b>{escape(one.name)}</b> similarity {one.similarity:.2f}"
        video = _video(quote(source), one.name)
        yield f"<figure>{video}<figcaption>{caption}</figcaption></figure>"
