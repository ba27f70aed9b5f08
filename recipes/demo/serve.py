"""The web server of the demo: its page, the files of its visitors, and no fetches from outside."""

from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from gradio.themes import Default
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recipes.demo.page import build_page
from recipes.demo.runner import Runner

_STYLE = Path(__file__).with_name("style.css")
_POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; base-uri 'self'; "
    "form-action 'self'; object-src 'none'"
)


class Shield:
    """Middleware: browsers fetch nothing from other hosts, nor does the server on their behalf.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path = scope.get("path", "")
        if "file=http" in path or "/proxy=" in path:
            return await PlainTextResponse("not found", 404)(scope, receive, send)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = _POLICY
                headers["Referrer-Policy"] = "no-referrer"
                if path.startswith(("/results/", "/clips/")):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self.app(scope, receive, guarded)


def make_app(runner: Runner, clips: Path) -> FastAPI:
    """Make the application: the page at `/`, results, and copies of the clips of the folder."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Shield)
    app.mount("/results", StaticFiles(directory=runner.visitors.results))
    app.mount("/clips", StaticFiles(directory=clips, check_dir=False))
    theme = Default(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return gr.mount_gradio_app(
        app,
        build_page(runner),
        path="/",
        max_file_size=round(runner.limits.max_mb * 2**20),
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        theme=theme,
        css=_STYLE.read_text(encoding="utf-8"),
    )


def serve(app: FastAPI, *, host: str, port: int) -> None:
    """Serve until a stop signal."""
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run()
