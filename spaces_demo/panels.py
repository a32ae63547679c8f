"""What is said of a page, as HTML: status, measurements, findings, labels, similar recordings."""

from html import escape
from typing import Any

from hub_scripts.results import Row, findings_list
from processing.leads import LEADS

from .gallery import Neighbour
from .paper import Trace, sheet, twelve_leads
from .service import PageResult

_STATUS = {
    "read": "Read",
    "partial": "Read in part",
    "no_ecg": "No ECG found",
    "error": "Not read",
}
_TILES = (
    ("heart_rate_bpm", "Heart rate", "bpm"),
    ("pr_ms", "PR", "ms"),
    ("qrs_ms", "QRS", "ms"),
    ("qt_ms", "QT", "ms"),
    ("qtc_fridericia_ms", "QTc (Fridericia)", "ms"),
    ("axis_deg", "Axis", "°"),
)
_SHOWN_FINDINGS = 8
_SIMILAR_SHOWN = ("II", "V1", "V5")
_SIMILAR_SAMPLES = 1500


EMPTY = (
    '<div class="empty">Drop a photo, scan or PDF of a 12-lead ECG above, paste a picture, '
    "photograph a page, or choose an example.<br>What you give is deleted within the hour.</div>"
)


def message(text: str) -> str:
    """One sentence about what can't be used."""
    return f'<div class="banner error" role="alert"><strong>Not read</strong><span>{escape(text)}</span></div>'


NO_SIGNAL = '<div class="hint">No signal was read from this page.</div>'
WORKING = '<div class="working" role="status"><span>Reading</span></div>'


def summary(result: PageResult) -> str:
    """Status with its reason, quality, measurements and what the page's scales are."""
    document = result.document
    status = document["status"]
    reason = f"<span>{escape(document['reason'])}</span>" if document["reason"] else ""
    banner = (
        f'<div class="banner {status}" role="status"><strong>{_STATUS[status]}</strong>'
        f"<span>{escape(document['file'])}</span>{reason}"
        f"{_quality(document['quality'])}</div>"
    )
    if not document["leads"]:
        return banner
    measured = document["measurements"]
    tiles = "".join(_tile(measured, *tile) for tile in _TILES)
    return f'{banner}<dl class="tiles">{tiles}</dl><div class="facts">{_facts(result)}</div>'


def _quality(quality: float) -> str:
    return (
        '<span class="quality" title="The probability that the reading reaches 10 dB">Quality '
        f'<meter min="0" max="1" value="{quality:.3f}"></meter> {quality:.2f}</span>'
    )


def _tile(measured: dict[str, Any], name: str, label: str, unit: str) -> str:
    value = measured[name]
    if value is None:
        shown = f'–<small class="why">{escape(measured["not_measured"].get(name, ""))}</small>'
    else:
        shown = f"{value:.0f}°" if unit == "°" else f"{value:.0f}<small> {unit}</small>"
    return f"<div><dt>{label}</dt><dd>{shown}</dd></div>"


def _facts(result: PageResult) -> str:
    document, pages = result.document, result.page.n_pages
    speed, gain, columns = (document[name] for name in ("paper_speed", "gain", "columns"))
    parts = [
        *([f"page {result.page.page} of {pages}"] if pages > 1 else []),
        f"layout {document['layout']['name']}",
        f"{speed['mm_per_s']:g} mm/s ({speed['source']})",
        f"{gain['mm_per_mv']:g} mm/mV ({gain['source']})",
        f"{len(document['leads'])} of 12 leads printed",
        f"columns {columns['mode']} ({columns['source']})",
        "read from the PDF's own lines" if document["source"] == "vectors" else "read from the picture",
        *document["warnings"],
        *document["measurements"]["suspicions"],
    ]
    return " · ".join(escape(part) for part in parts)


def leads(result: PageResult) -> str:
    """The twelve leads on paper with their zoom, and the legend."""
    drawing = twelve_leads(result.reading.signal, result.reading.completed)
    inferred = result.reading.completed is not None
    legend = '<span class="key printed">printed on the page</span>' + (
        '<span class="key inferred">inferred by the model, not on the page</span>' if inferred else ""
    )
    buttons = "".join(
        f'<button type="button" data-zoom="{action}" aria-label="{label}">{text}</button>'
        for action, text, label in (
            ("out", "−", "Smaller"),
            ("in", "+", "Larger"),
            ("fit", "Fit", "Fit to the width"),
            ("true", "1:1", "True to scale: a millimetre is a millimetre"),
        )
    )
    return (
        f'<div class="viewer"><div class="bar"><div class="legend">{legend}</div>'
        f'<div class="zoom" role="group" aria-label="Zoom">{buttons}</div></div>'
        f'<div class="window" tabindex="0" role="region" aria-label="Twelve leads; plus and minus zoom, arrows move">'
        f"{drawing}</div></div>"
    )


def findings(probabilities: dict[str, float]) -> str:
    """Calibrated probabilities as bars, the most probable first."""
    if not probabilities:
        return '<div class="hint">This checkpoint tells no findings.</div>'
    rows = findings_list(probabilities)
    more = _bars(rows[_SHOWN_FINDINGS:])
    rest = f"<details><summary>{len(rows) - _SHOWN_FINDINGS} more</summary>{more}</details>" if more else ""
    hint = '<div class="hint">Calibrated probabilities; each stands for itself.</div>'
    return f"{_bars(rows[:_SHOWN_FINDINGS])}{rest}{hint}"


def shares(found: dict[str, float]) -> str:
    """How well the user's own labels fit, as shares of one."""
    return (
        f"{_bars(findings_list(found))}"
        '<div class="hint">Which of these texts fits best: shares among them, no probabilities.</div>'
    )


def _bars(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    items = "".join(
        f'<li><span class="name">{escape(row["name"])}</span>'
        f'<span class="track"><span style="width:{100 * row["probability"]:.1f}%"></span></span>'
        f'<span class="value">{_percent(row["probability"])}</span></li>'
        for row in rows
    )
    return f'<ul class="bars">{items}</ul>'


def _percent(share: float) -> str:
    return "< 1 %" if share < 0.01 else f"{100 * share:.0f} %"


def similar(neighbours: list[Neighbour]) -> str:
    """The nearest simulated recordings: three leads for three seconds, the report, the likeness."""
    cards = []
    for index, neighbour in enumerate(neighbours):
        recording = neighbour.recording
        traces = [Trace(lead, recording.signal[LEADS.index(lead), :_SIMILAR_SAMPLES]) for lead in _SIMILAR_SHOWN]
        drawing = sheet(traces, f"paper-similar-{index}", f"Leads {', '.join(_SIMILAR_SHOWN)} of a simulated recording")
        cards.append(
            f'<li>{drawing}<div class="report">{escape(recording.report)}</div>'
            f'<div class="hint">Simulated · likeness {neighbour.cosine:.2f}</div></li>'
        )
    return (
        f'<ul class="cards">{"".join(cards)}</ul>'
        '<div class="hint">Nearest by embedding (cosine) in a gallery of the project\'s own simulated recordings, '
        "with the reports that they were simulated to.</div>"
    )


def batch_row(row: Row) -> list[Any]:
    """A row of the batch's table, in the order of its headers."""
    leads = len(row.leads.split()) if row.leads else 0
    measured = [value.removesuffix(".0") for value in (row.heart_rate_bpm, row.qrs_ms, row.qtc_fridericia_ms)]
    return [row.file, row.page, row.status, row.quality, row.layout, leads, *measured, row.reason]


def counted(rows: list[list[Any]]) -> str:
    """How many pages ended how."""
    statuses = [row[2] for row in rows]
    parts = [f"{statuses.count(name)} {said.lower()}" for name, said in _STATUS.items() if name in statuses]
    pages = "1 page" if len(rows) == 1 else f"{len(rows)} pages"
    look = "read" if set(statuses) == {"read"} else "partial"
    return f'<div class="banner {look}" role="status"><strong>{pages}</strong><span>{", ".join(parts)}</span></div>'
