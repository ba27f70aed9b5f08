"""The page of the demo: a video and its audio on the left, and what the models find in it."""

from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from recipes.demo.history import EMPTY
from recipes.demo.render import render_models
from recipes.demo.runner import AUDIO, Runner

_BY = {"fusion": "Image and audio", "image": "Image", "audio": "Audio"}
_WAITING = '<div class="av-empty">The results appear here.</div>'
_HIDDEN: dict[str, Any] = {"queue": False, "api_visibility": "private"}


def build_page(runner: Runner) -> gr.Blocks:
    """Lay out the page and connect its events."""
    with gr.Blocks(title="avblocks demo", analytics_enabled=False) as page:
        _html(_head(runner))
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                video, audio, other = _lay_out_files()
                halves, by = _lay_out_options(runner)
                button = gr.Button("Run", variant="primary", elem_id="run")
                _html(_notes(runner))
            with gr.Column(scale=3, min_width=300):
                history, results = _html("", name="history"), _html(_WAITING, name="results")
        with gr.Accordion("Models of this page", open=False):
            _html(render_models(runner.analyst.models))
        past = gr.State(EMPTY)
        audio.change(lambda chosen: gr.File(visible=chosen == "other"), audio, other, **_HIDDEN)
        for name, field in (("video", video), ("other", other)):
            field.change(_holder(runner, name), field, None, **_HIDDEN)
        button.click(
            runner.run,
            [video, audio, other, halves, by, past],
            [results, history, past],
            concurrency_limit=1,
            show_progress_on=results,
            api_visibility="private",
        )
        page.unload(_leaver(runner))
    page.queue(max_size=runner.limits.max_waiting)
    return page


def _holder(runner: Runner, name: str) -> Callable[[str | None, gr.Request], None]:
    """Return a function that notes the file in a field."""

    def hold(path: str | None, request: gr.Request) -> None:
        runner.visitors.hold(request.session_hash or "", **{name: path})

    return hold


def _leaver(runner: Runner) -> Callable[[gr.Request], None]:
    """Return a function that deletes the files of a visitor who has left the page."""

    def leave(request: gr.Request) -> None:
        runner.visitors.leave(request.session_hash or "")

    return leave


def _lay_out_files() -> tuple[gr.Video, gr.Radio, gr.File]:
    """Lay out the fields for the video and its audio."""
    video = gr.Video(
        label="Video with audio",
        sources=["upload", "webcam"],
        include_audio=True,
        webcam_options=gr.WebcamOptions(mirror=False),
        elem_id="video",
    )
    audio = gr.Radio(
        _choices(AUDIO),
        value="own",
        label="Audio that the models are given",
        info="Mute it, or take that of another file: does the model listen?",
        elem_id="audio",
    )
    other = gr.File(
        label="Other audio: a wav, flac, ogg, mp3 or m4a file, or a video",
        file_types=["audio", "video"],
        visible=False,
        height=130,
        elem_id="other",
    )
    return video, audio, other


def _lay_out_options(runner: Runner) -> tuple[gr.Checkbox, gr.Radio]:
    """Lay out the options; those without a use are hidden."""
    halves = gr.Checkbox(
        label="Also separate the audio of the left and the right half of the image",
        visible=any(one.name == "separation" for one in runner.analyst.models),
        elem_id="halves",
    )
    by = gr.Radio(
        _choices(_BY),
        value="fusion",
        label="Find the nearest clips by",
        visible=runner.analyst.nearest is not None,
        elem_id="by",
    )
    return halves, by


def _choices(texts: dict[str, str]) -> list[Any]:
    return [(text, name) for name, text in texts.items()]


def _html(text: str, *, name: str | None = None) -> gr.HTML:
    return gr.HTML(text, apply_default_css=False, elem_id=name)


def _head(runner: Runner) -> str:
    rows = "".join(
        f"<li><b>{one.name.capitalize()}</b> trained on "
        f"{escape(one.trained_on or 'data that its file does not name')}</li>"
        for one in runner.analyst.models
    )
    return (
        '<div class="av-head"><h1>avblocks demo</h1><p>Drop or record a video, and see and '
        f"hear what these models find in it:</p><ul>{rows}</ul></div>"
    )


def _notes(runner: Runner) -> str:
    limits = runner.limits
    return (
        '<p class="av-about">An mp4, mov, mkv, webm or avi file of at most '
        f"{limits.max_mb:g} MiB, of which the first {limits.max_seconds:g} s are read. All files "
        "are deleted from this server when you leave the page.</p>"
    )
