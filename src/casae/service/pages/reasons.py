"""Why a part was decided so, in the language of who reads it; English is what the record says."""

from casae.inspection.record import DecisionRecord, InspectionRecord
from casae.inspection.rules import DISTANCES, SIZES, number
from casae.inspection.verdict import shortest

GERMAN = {  # as `SIZES`, `TOGETHER` and `DISTANCES` of casae.inspection.rules
    "area_px": "{} px² groß",
    "length_px": "{} px lang",
    "width_px": "{} px breit",
    "feret_max_px": "{} px im größten Durchmesser (Feret)",
    "feret_min_px": "{} px im kleinsten Durchmesser (Feret)",
    "skeleton_length_px": "{} px lang entlang der Mitte",
    "mean_width_px": "im Mittel {} px breit",
    "perimeter_px": "{} px Umfang",
    "area_mm2": "{} mm² groß",
    "length_mm": "{} mm lang",
    "width_mm": "{} mm breit",
    "feret_max_mm": "{} mm im größten Durchmesser (Feret)",
    "feret_min_mm": "{} mm im kleinsten Durchmesser (Feret)",
    "skeleton_length_mm": "{} mm lang entlang der Mitte",
    "mean_width_mm": "im Mittel {} mm breit",
    "perimeter_mm": "{} mm Umfang",
    "holes": "mit {} Löchern",
    "count": "{} gefunden",
    "total_area_px": "zusammen {} px²",
    "total_area_mm2": "zusammen {} mm²",
    "in_square": "{} in einem Quadrat",
    "specks": "{} Punkte",
    "distance_px": "{} px bis zum nächsten",
    "distance_mm": "{} mm bis zum nächsten",
}
POINTS = str.maketrans(",.", ".,")


def reason_in(language: str, record: InspectionRecord) -> str:
    """The sentence that says why, in a language of the pages."""
    return _german(record.decided_by, record.decision) if language == "de" else record.reason


def _german(told: DecisionRecord, decision: str) -> str:
    name = told.defect_class or "alle Fehler"
    where = f" auf {told.zone}" if told.zone else ""
    value, limit = told.value or 0.0, told.limit or 0.0
    match told.kind:
        case "no defect":
            return "kein Fehler"
        case "within limits":
            return f"{_number(value)} innerhalb der Grenzen"
        case "no rule":
            return f"{name}{where}: keine Regel nimmt das an"
        case "class probability":
            return f"{name}: die Klasse ist zu {_percent(value)} sicher, {_percent(limit)} sind nötig"
        case "unknown defect":
            return f"{name}{where}: anders als die gelernten Fehler, und keine Regel gilt für solche"
        case "novelty":
            found = shortest(value, limit, least=False).translate(POINTS)
            return f"anders als die gelernten Bilder (Neuheit {found}, üblich bis {_number(limit)})"
        case "no colour":
            return "ein graues Bild, und das Modell hat Farben gelernt"
        case "brightness":
            how = "dunkler" if value < limit else "heller"
            return f"viel {how} (Mittel {_number(value)}) als gelernte Bilder (Grenze {_number(limit)})"
        case "limit":
            return f"{name}{where}{_broken(str(told.field), value, limit, decision)}"


def _broken(field: str, value: float, limit: float, decision: str) -> str:
    """What is beyond a limit, after the name of the class."""
    least = field in DISTANCES
    found = GERMAN[field].format(shortest(value, limit, least).translate(POINTS))
    joint = " " if field in SIZES else ": "
    if decision == "REVIEW":
        return f"{joint}{found}, {'unter' if least else 'über'} {_number(limit)} entscheidet ein Mensch"
    return f"{joint}{found}, {_number(limit)} {'nötig' if least else 'erlaubt'}"


def _number(value: float) -> str:
    return number(value).translate(POINTS)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %".replace(".", ",")
