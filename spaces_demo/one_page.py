"""The tab for one page: what can be given, what is shown of it, and how the one leads to the other."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from processing.pages import PAGE_SUFFIXES, PageError

from . import panels
from .files import DOWNLOADS, write_downloads
from .service import PageResult, Service, open_upload

FILE_TYPES = ["image", *sorted(PAGE_SUFFIXES)]
COLUMNS = [
    ("as rhythm strips tell", ""),
    ("one after another", "sequential"),
    ("all from the same moment", "simultaneous"),
]
_EXAMPLES = {"A clean print": "clean.png", "A folded photo": "photo.jpg"}
_EXAMPLES_FOLDER = Path(__file__).resolve().parent.parent / "examples"
_LABELS = "sinus rhythm, atrial fibrillation, paced rhythm"
_SIMILAR = 3


class OnePage:
    """Built inside the `Blocks` that are open.

    Args:
        keep_s: seconds after which a session's reading is forgotten.
    """

    def __init__(self, service: Service, keep_s: int):
        self.service = service
        self.shown, self.given = gr.State(time_to_live=keep_s), gr.State(time_to_live=keep_s)
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                self._lay_out_upload()
            with gr.Column(scale=2, min_width=300):
                self.examples = _example_buttons()
                self._lay_out_options()
        self.document = gr.JSON(visible=False)
        self.summary = gr.HTML(panels.EMPTY, elem_id="summary", padding=False)
        with gr.Column(visible=False, elem_id="results") as self.results:
            self._lay_out_results()
        self._connect()

    def _lay_out_upload(self) -> None:
        self.file = gr.File(
            label="Page: a photo, scan or PDF; drop, choose or paste it",
            file_types=FILE_TYPES,
            height=190,
            elem_id="page-file",
        )

    def _lay_out_options(self) -> None:
        with gr.Accordion("Photograph with this device", open=False):
            options = gr.WebcamOptions(mirror=False, constraints={"video": {"facingMode": "environment"}})
            self.camera = gr.Image(
                sources=["webcam"], type="filepath", show_label=False, webcam_options=options, elem_id="camera"
            )
        with gr.Accordion("Options", open=False):
            self.columns = gr.Radio(COLUMNS, value="", label="The columns of the page were recorded")
            self.number = gr.Number(1, label="Page of a PDF or TIFF", precision=0, minimum=1)
            self.again = gr.Button("Read again", size="sm")

    def _lay_out_results(self) -> None:
        with gr.Tab("Twelve leads"):
            self.leads = gr.HTML(elem_id="leads", padding=False)
        with gr.Tab("On the page"):
            self.picture = gr.Image(
                show_label=False,
                interactive=False,
                format="jpeg",
                buttons=["fullscreen"],
                elem_id="picture",
                alt_text="The page with the found strips, their leads and traces drawn over it",
            )
        with gr.Row(elem_id="downloads"):
            self.downloads = [
                gr.DownloadButton(label, size="sm", min_width=120, elem_id=f"get-{name}")
                for name, label in DOWNLOADS.items()
            ]
        with gr.Column() as self.meaning:
            self._lay_out_meaning()

    def _lay_out_meaning(self) -> None:
        with gr.Row():
            with gr.Column(min_width=300):
                gr.HTML("<h2>Findings</h2>", padding=False)
                self.findings = gr.HTML(elem_id="findings", padding=False)
            with gr.Column(min_width=300):
                gr.HTML("<h2>In your own words</h2>", padding=False)
                self.labels = gr.Textbox(
                    _LABELS, label="Labels to choose between, separated by commas", max_length=2000
                )
                self.compare = gr.Button("Compare", size="sm", elem_id="compare")
                self.compared = gr.HTML(elem_id="compared", padding=False)
        gr.HTML("<h2>Similar recordings</h2>", padding=False)
        self.similar = gr.HTML(elem_id="similar", padding=False)

    def _connect(self) -> None:
        self.outputs = [
            *(self.document, self.summary, self.results, self.leads, self.picture, *self.downloads),
            *(self.meaning, self.findings, self.compared, self.similar, self.shown, self.given),
        ]
        # two at a time: while one page is read, another is opened, drawn and sent
        reading: dict[str, Any] = {
            "outputs": self.outputs,
            "show_progress_on": self.summary,
            "concurrency_id": "page",
            "concurrency_limit": 2,
        }
        self.file.upload(self.read, [self.file, self.columns, self.number], api_name="read", **reading).then(
            _nothing, None, self.file, api_visibility="private", show_progress="hidden"
        )
        self.camera.input(self.read, [self.camera, self.columns], api_visibility="private", **reading)
        self.again.click(self.read, [self.given, self.columns, self.number], api_visibility="private", **reading)
        for name, button in self.examples.items():
            path = gr.State(str(_EXAMPLES_FOLDER / _EXAMPLES[name]))
            button.click(self.read, [path, self.columns], api_visibility="private", **reading)
        gr.on(
            [self.compare.click, self.labels.submit],
            self.compare_labels,
            [self.labels, self.shown],
            self.compared,
            api_name="labels",
        )

    def read(
        self, path: str | None, columns: str = "", number: float | None = 1, progress: Any = gr.Progress()
    ) -> Iterator[dict]:
        """Reads one page of an image or a PDF: its JSON, pictures of it, and the files to take away."""
        yield {self.summary: panels.WORKING, self.results: gr.Column(visible=False)}
        with tempfile.TemporaryDirectory() as folder:
            try:
                if path is None:
                    raise PageError("no page was given; drop, paste or photograph one, or choose an example")
                page = open_upload(Path(path), 1 if number is None else int(number))
                result = self.service.read(page, columns or None, lambda share, stage: progress(share, desc=stage))
            except PageError as error:
                failure = {"status": "error", "reason": str(error)}
                yield {self.document: failure, self.summary: panels.message(str(error)), self.given: path}
                return
            # Gradio has copied the files when it asks for more
            yield {**self._values(result, Path(folder)), self.given: path}

    def _values(self, result: PageResult, folder: Path) -> dict[Any, Any]:
        files = write_downloads(result, folder)
        values = {
            self.document: result.document,
            self.summary: panels.summary(result),
            self.results: gr.Column(visible=True),
            self.leads: panels.NO_SIGNAL,
            self.picture: str(files["png"]),
            self.meaning: gr.Column(visible=result.has_signal),
            self.compared: "",
            self.shown: result,
        }
        for name, button in zip(DOWNLOADS, self.downloads, strict=True):
            path = str(files[name]) if name in files else None
            values[button] = gr.DownloadButton(value=path, interactive=path is not None)
        if result.has_signal:
            neighbours = self.service.gallery.nearest(result.reading, _SIMILAR)
            values[self.leads] = panels.leads(result)
            values[self.findings] = panels.findings(result.reading.findings)
            values[self.similar] = panels.similar(neighbours)
        return values

    def compare_labels(self, text: str, result: PageResult | None) -> str:
        """Which of several texts, separated by commas, fits the page best that this session read last."""
        labels = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
        if result is None or not result.has_signal:
            return panels.message("there is no reading to compare with; read a page first")
        try:
            return panels.shares(self.service.shares(result.reading, labels))
        except ValueError as error:
            return panels.message(str(error))


def _nothing() -> None:
    """Empties the place for a file, so that the next can be dropped there."""


def _example_buttons() -> dict[str, gr.Button]:
    """A button with a small picture for every example page that is beside the packages."""
    found = {name: _EXAMPLES_FOLDER / file for name, file in _EXAMPLES.items()}
    with gr.Row(elem_id="examples"):
        return {
            name: gr.Button(name, icon=str(path), size="sm", min_width=130)
            for name, path in found.items()
            if path.is_file()
        }
