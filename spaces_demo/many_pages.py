"""The tab for many pages: files and zips in; a table and a zip of results out."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from . import panels
from .batch import BatchError, collect, packed, run
from .one_page import COLUMNS, FILE_TYPES
from .service import Service

_HEADERS = ["file", "page", "status", "quality", "layout", "leads", "bpm", "QRS ms", "QTc ms", "reason"]
_WIDTHS: list[str | int] = ["160px", "60px", "80px", "75px", "75px", "65px", "65px", "75px", "75px", "470px"]


class ManyPages:
    """Built inside the `Blocks` that are open."""

    def __init__(self, service: Service):
        self.service = service
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                self.files = gr.File(
                    label="Pages: photos, scans, PDFs, or zips of them",
                    file_count="multiple",
                    file_types=[*FILE_TYPES, ".zip"],
                    height=190,
                    elem_id="batch-files",
                )
            with gr.Column(scale=2, min_width=300):
                self.columns = gr.Radio(COLUMNS, value="", label="The columns of the pages were recorded")
                self.start = gr.Button("Read all", variant="primary", elem_id="batch-start")
        self.status = gr.HTML(elem_id="batch-status", padding=False)
        self.table = gr.Dataframe(
            headers=_HEADERS, column_widths=_WIDTHS, interactive=False, wrap=True, visible=False, elem_id="batch-table"
        )
        self.download = gr.DownloadButton("Results (zip)", visible=False, elem_id="batch-download")
        self.start.click(
            self.read,
            [self.files, self.columns],
            [self.status, self.table, self.download],
            show_progress_on=self.status,
            concurrency_limit=2,
            api_name="batch",
        )

    def read(self, paths: list[str] | None, columns: str = "", progress: Any = gr.Progress()) -> Iterator[dict]:
        """Reads all pages of files and zips: a table with a row a page, and a zip of the results."""
        yield {
            self.status: panels.WORKING,
            self.table: gr.Dataframe(visible=False),
            self.download: gr.DownloadButton(visible=False),
        }
        with tempfile.TemporaryDirectory() as folder:
            given, out = Path(folder, "given"), Path(folder, "out")
            given.mkdir()
            out.mkdir()
            try:
                uploads = collect([Path(path) for path in paths or []], given)
            except BatchError as error:
                yield {self.status: panels.message(str(error))}
                return
            rows = []
            for row in run(
                self.service, uploads, out, columns or None, lambda share, stage: progress(share, desc=stage)
            ):
                rows.append(panels.batch_row(row))
                yield {self.table: gr.Dataframe(rows, visible=True)}
            results = packed(out, Path(folder, "ecgscan-results.zip"))
            yield {
                self.status: panels.counted(rows),
                self.download: gr.DownloadButton(value=str(results), visible=True),
            }
