"""Every text of the pages, in each language; English says what a name means."""

from fastapi import Request

LANGUAGES = ("en", "de")
TEXTS: dict[str, tuple[str, str]] = {  # name -> English, German
    "live": ("Live", "Live"),
    "history": ("History", "Verlauf"),
    "review": ("Review", "Prüfen"),
    "sign_in": ("Sign in", "Anmelden"),
    "sign_out": ("Sign out", "Abmelden"),
    "skip": ("Skip to content", "Zum Inhalt"),
    "name": ("Name", "Name"),
    "password": ("Password", "Passwort"),
    "sign_in_failed": ("Name or password is wrong.", "Name oder Passwort ist falsch."),
    "too_many_tries": ("Too many tries; wait a quarter of an hour.", "Zu viele Versuche; in 15 Minuten wieder."),
    "OK": ("OK", "OK"),
    "REVIEW": ("REVIEW", "PRÜFEN"),
    "NG": ("NG", "NIO"),
    "today": ("Today", "Heute"),
    "latest": ("Latest parts", "Neueste Teile"),
    "nothing_yet": (
        "Nothing was inspected yet. Send a picture, or let casae watch a folder.",
        "Noch nichts geprüft. Ein Bild senden, oder casae einen Ordner beobachten lassen.",
    ),
    "nothing_found": ("No inspection is like that.", "Keine Prüfung passt dazu."),
    "connection_lost": ("The connection is lost; trying again.", "Verbindung verloren; neuer Versuch."),
    "defects": ("Defects", "Fehler"),
    "no_defects": ("No defects.", "Keine Fehler."),
    "decision": ("Verdict", "Urteil"),
    "reviewed": ("Reviewed", "Geprüft"),
    "time": ("Time", "Zeit"),
    "serial": ("Serial", "Seriennr."),
    "batch": ("Batch", "Charge"),
    "product": ("Product", "Produkt"),
    "station": ("Station", "Station"),
    "model": ("Model", "Modell"),
    "class": ("Class", "Klasse"),
    "picture": ("Picture", "Bild"),
    "since": ("From", "Von"),
    "until": ("Until", "Bis"),
    "any": ("any", "alle"),
    "find": ("Find", "Suchen"),
    "next": ("Older", "Ältere"),
    "first": ("Newest", "Neueste"),
    "why": ("Why", "Grund"),
    "length": ("Length", "Länge"),
    "width": ("Width", "Breite"),
    "area": ("Area", "Fläche"),
    "sure": ("Sure", "Sicher"),
    "mask": ("Mask", "Maske"),
    "outlines": ("Outlines", "Umrisse"),
    "rectangles": ("Rectangles", "Rechtecke"),
    "fit": ("Fit", "Einpassen"),
    "rule": ("Rule", "Regel"),
    "measure": ("Measure", "Maß"),
    "value": ("Value", "Wert"),
    "limit": ("Limit", "Grenze"),
    "novelty": ("Novelty", "Neuheit"),
    "said": ("What people said", "Was Menschen sagten"),
    "nobody_said": ("Nobody has said anything yet.", "Noch hat niemand etwas gesagt."),
    "earlier": ("Other inspections of this part", "Weitere Prüfungen dieses Teils"),
    "is_ok": ("Part is OK", "Teil ist IO"),
    "is_ng": ("Part is NG", "Teil ist NIO"),
    "later": ("Later", "Später"),
    "reason": ("Reason (may be left out)", "Grund (darf fehlen)"),
    "queue_empty": ("Nothing is waiting. Well done.", "Nichts wartet. Gut gemacht."),
    "waiting": ("waiting", "warten"),
    "key_list": ("Keys", "Tasten"),
    "keys_help": ("Keys that work here", "Tasten, die hier gelten"),
    "key_ok": ("part is OK", "Teil ist IO"),
    "key_ng": ("part is NG", "Teil ist NIO"),
    "key_later": ("look at it later", "später ansehen"),
    "key_next_defect": ("next defect", "nächster Fehler"),
    "key_zoom": ("zoom, fit", "Zoom, einpassen"),
    "close": ("Close", "Schließen"),
    "not_kept": ("The change was not kept: ", "Nicht gespeichert: "),
    "picture_gone": ("The picture is not kept any more.", "Das Bild wird nicht mehr aufbewahrt."),
    "only_look": ("You may look, not judge.", "Sie dürfen ansehen, nicht urteilen."),
}


def language_of(request: Request) -> str:
    """The first language of the browser that there is, else English."""
    for wanted in request.headers.get("accept-language", "").lower().split(","):
        code = wanted.strip()[:2]
        if code in LANGUAGES:
            return code
    return LANGUAGES[0]


def texts(language: str) -> dict[str, str]:
    """All texts of a language."""
    column = LANGUAGES.index(language)
    return {name: each[column] for name, each in TEXTS.items()}
