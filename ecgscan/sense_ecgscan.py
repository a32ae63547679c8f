"""Whether a layout makes sense of a page: which way up it lies, and whether it shows an ECG at all."""

from .readings_ecgscan import Located
from .strips_ecgscan import LEADS, FoundLayout

_SENSIBLE = -1.0  # mean log probability of the leads of a page that is the right way up
_CLEARLY = 0.1  # by how much another way up must make more sense
NAMES_SEEN, _NAMES_CLEARLY = 1.0, 0.7  # log odds per strip that the names are printed where they should be
_FEW = 3  # ours: strips that are taken for an ECG only with a grid or names beside them
_OTHER_NAMES = -1.0  # ours: the same, below which other names are printed there
# ours: log odds of all strips from which rows do not stand on end; 840 to 7,900 the right way, up to 730 on end
_ROWS_SEEN = 1000.0
_NO_ROWS = 100.0  # ours: the same, below which there are none


def makes_more_sense(layout: FoundLayout, than: FoundLayout, *, on_end: bool) -> bool:
    """Whether another way up explains the page clearly better, by its printed names or by more than a part of it.

    Where the rows were clear, only names tell that the page stands on end.
    """
    if max(layout.printed, than.printed) > 0.0 and abs(layout.printed - than.printed) > _NAMES_CLEARLY:
        return layout.printed > than.printed
    if on_end and than.gain > _ROWS_SEEN:
        return False
    return layout.score_per_mm > than.score_per_mm + _CLEARLY and layout.gain > 0.6 * than.gain


def is_upright(layout: FoundLayout) -> bool:
    """Whether no other way up need be tried."""
    return layout.printed > NAMES_SEEN or (layout.printed >= 0.0 and layout.score_per_mm > _SENSIBLE)


def stands_on_rows(layout: FoundLayout) -> bool:
    """Whether a page can't stand on end: its rows are clear, and no other names are printed where theirs should be."""
    return layout.gain > _ROWS_SEEN and layout.printed > _OTHER_NAMES


def holds_an_ecg(layout: FoundLayout, seen: bool) -> bool:
    """Whether names stand where rows begin, or rows so clear, as they are on an ECG; less is asked once it was seen.

    Of drawings that hold none, and are located all the same, names reach 0.9 and rows 480; below 100 are no rows.
    """
    names, rows = (0.0, _NO_ROWS) if seen else (NAMES_SEEN, _ROWS_SEEN)
    return layout.printed > names or layout.gain > rows


def bears_other_names(layout: FoundLayout) -> bool:
    """Whether a page of less than twelve leads, or of whole rows, has other names where theirs should be printed.

    It may show anything: curves of other organs, prices, numbers of people.
    """
    whole = all(strip.column == 0 for strip in layout.strips)
    return layout.printed < _OTHER_NAMES and (whole or len({strip.lead for strip in layout.strips}) < len(LEADS))


def doubted_names(layout: FoundLayout) -> list[str]:
    """A sentence where what is printed beside the rows speaks against the names that the layout gives them."""
    if layout.printed >= _OTHER_NAMES:
        return []
    return [f"the names printed beside the rows don't look like {', '.join(strip.lead for strip in layout.strips)}"]


def could_be_any_chart(layout: FoundLayout, *, gridded: bool) -> bool:
    """Whether there are a few rows only, and neither a grid nor names beside them."""
    return not gridded and layout.printed < NAMES_SEEN and len(layout.strips) <= _FEW


def further_ecg(layout: FoundLayout) -> list[str]:
    """A sentence where more rows of traces stand on the page than its ECG has, as where there are two."""
    if layout.further_rows < 2:
        return []
    return [
        f"{layout.further_rows} more rows of traces are on the page than a {layout.name} ECG has; "
        "if it shows two ECGs, cut it and read them one by one"
    ]


def explains_as_well(other: Located | str, than: Located) -> bool:
    """Whether a wider look found the same layout, and what speaks for it did not fade."""
    if isinstance(other, str):
        return False
    return other.layout.name == than.layout.name and other.layout.printed > than.layout.printed - _NAMES_CLEARLY
