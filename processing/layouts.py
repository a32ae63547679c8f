"""How the leads stand on the page: rows of columns, and rhythm strips below."""

from dataclasses import dataclass

from .leads import LEADS

_THREE_BY_FOUR = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
_SIX_BY_TWO = (("I", "V1"), ("II", "V2"), ("III", "V3"), ("aVR", "V4"), ("aVL", "V5"), ("aVF", "V6"))
_CABRERA = ("aVL", "I", "aVR", "II", "aVF", "III")


@dataclass(frozen=True)
class Layout:
    """Rows of lead names from top to bottom; the last `rhythm_rows` rows run over the whole width."""

    name: str
    rows: tuple[tuple[str, ...], ...]
    rhythm_rows: int = 0

    @property
    def n_columns(self) -> int:
        return max(len(row) for row in self.rows)


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("3x4", _THREE_BY_FOUR),
        Layout("3x4+1", (*_THREE_BY_FOUR, ("II",)), 1),
        Layout("3x4+2", (*_THREE_BY_FOUR, ("V1",), ("II",)), 2),
        Layout("3x4+3", (*_THREE_BY_FOUR, ("V1",), ("II",), ("V5",)), 3),
        Layout("6x2", _SIX_BY_TWO),
        Layout("6x2+1", (*_SIX_BY_TWO, ("II",)), 1),
        Layout("12x1", tuple((lead,) for lead in LEADS)),
        Layout("6x1-limb", tuple((lead,) for lead in LEADS[:6])),
        Layout("6x1-chest", tuple((lead,) for lead in LEADS[6:])),
        Layout("6x2-cabrera", tuple(zip(_CABRERA, LEADS[6:], strict=True))),
        Layout("12x1-cabrera", tuple((lead,) for lead in (*_CABRERA, *LEADS[6:]))),
        Layout("4x3", (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))),
        Layout("2x6", (LEADS[:6], LEADS[6:])),
        Layout("3x2-chest", (("V1", "V4"), ("V2", "V5"), ("V3", "V6"))),
        Layout("3x2-limb", (("I", "aVR"), ("II", "aVL"), ("III", "aVF"))),
        Layout("3x1", (("I",), ("II",), ("III",))),
    )
}


def with_rhythm(layout: Layout, leads: tuple[str, ...]) -> Layout:
    """The same layout with other rhythm leads below its columns."""
    columns = layout.rows[: len(layout.rows) - layout.rhythm_rows]
    return Layout(layout.name, (*columns, *((lead,) for lead in leads)), len(leads))
