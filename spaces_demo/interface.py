"""The page in the browser: built, and served."""

import os
import tempfile
from pathlib import Path
from typing import Any

# Read when Gradio is imported: without it, starting looks up two outside hosts.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr

import modeling_ecgscan  # noqa: F401  registers the Auto classes where the package is not installed
from hub_scripts import console
from hub_scripts.arguments import UsageError

from .many_pages import ManyPages
from .one_page import OnePage
from .service import Service

_FOLDER = Path(__file__).resolve().parent
_TITLE = "ECG-Scan"
_INTRO = (
    f'<div class="intro"><h1>{_TITLE}</h1><div class="hint">A photo, scan or PDF of a 12-lead ECG becomes twelve leads '
    "in millivolts. For research, not for diagnosis.</div></div>"
)
# Uploads and results are deleted half an hour after they came, looked for every ten minutes, and when the server ends.
_DELETE_EVERY_S, _DELETE_AFTER_S = 600, 1800


def build(service: Service) -> gr.Blocks:
    """The page; `launch_options` belong to its launch."""
    deletion = (_DELETE_EVERY_S, _DELETE_AFTER_S)
    with gr.Blocks(title=_TITLE, analytics_enabled=False, delete_cache=deletion, fill_width=True) as page:
        gr.HTML(_INTRO, padding=False)
        with gr.Tab("One page"):
            OnePage(service, _DELETE_AFTER_S)
        with gr.Tab("Many pages"):
            ManyPages(service)
    page.queue(max_size=64)
    return page


def launch_options() -> dict[str, Any]:
    """What Gradio wants to know when the page is launched, not when it is built."""
    sans, mono = ["system-ui", "sans-serif"], ["ui-monospace", "monospace"]
    script = (_FOLDER / "viewer.js").read_text(encoding="utf-8")
    return {
        "theme": gr.themes.Base(primary_hue="blue", neutral_hue="slate", font=sans, font_mono=mono),
        "css_paths": _FOLDER / "style.css",
        "head": f"<script>{script}</script>",
        "footer_links": ["api"],
        "max_file_size": "100mb",
        "share": False,
        "ssr_mode": False,
        "run_history": False,
    }


def serve(checkpoint: str | None = None, host: str | None = None, port: int | None = None) -> None:
    """Serves until it is interrupted.

    Args:
        checkpoint: a folder or a name on the Hub; without it the one that `ECGSCAN_MODEL` names, else the shipped one.
        host, port: where; 127.0.0.1 and the first free port from 7860 on by default.

    Raises:
        UsageError: the checkpoint can't be loaded, or the port is taken.
    """
    service = Service(checkpoint or os.environ.get("ECGSCAN_MODEL"))
    with tempfile.TemporaryDirectory(prefix="ecgscan-") as cache:
        os.environ["GRADIO_TEMP_DIR"] = cache
        page = build(service)
        try:
            _, url, _ = page.launch(
                server_name=host, server_port=port, quiet=True, prevent_thread_lock=True, **launch_options()
            )
        except OSError as error:
            where = "7860 to 7959" if port is None else str(port)
            raise UsageError(f"port {where}: is taken or not allowed; choose another with --port") from error
        console.out.print(f"{url} is open, Ctrl-C ends it", markup=False)
        page.block_thread()
