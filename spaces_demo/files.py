"""The files of a page to take away."""

import json
import zipfile
from pathlib import Path

from hub_scripts.results import FORMATS, write_page
from processing.records import record_name

from .fhir import observation
from .service import PageResult

DOWNLOADS = {"wfdb": "WFDB (zip)", "csv": "CSV", "png": "Picture", "json": "JSON", "fhir": "FHIR Observation"}


def write_downloads(result: PageResult, folder: Path) -> dict[str, Path]:
    """Writes what can be taken away, by the names in `DOWNLOADS`; a page without signal has picture and JSON only."""
    name = record_name(Path(result.page.file).stem)
    written = write_page(folder / name, FORMATS, result.page, result.reading, result.size, result.document)
    files = {path.suffix[1:]: path for path in written}
    if "hea" in files:
        files["wfdb"] = folder / f"{name}.zip"
        with zipfile.ZipFile(files["wfdb"], "w", zipfile.ZIP_DEFLATED) as archive:
            for suffix in ("hea", "dat"):
                archive.write(files[suffix], files[suffix].name)
        files["fhir"] = folder / f"{name}.fhir.json"
        resource = observation(result.document, result.reading.signal)
        files["fhir"].write_text(json.dumps(resource, allow_nan=False), encoding="utf-8")
    return files
