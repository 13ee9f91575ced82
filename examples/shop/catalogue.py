"""What the shop sells, in the three languages that it writes in, and the colours of each label."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

LANGUAGES = ("en", "fr", "de")


@dataclass(frozen=True)
class Product:
    number: int
    euros: Decimal
    paper: str
    """The label's colour."""
    ink: str
    """The colour of what is printed on it."""
    words: dict[str, tuple[str, str]]
    """Language → name and note."""


def _product(number: int, euros: str, paper: str, ink: str, *words: tuple[str, str]) -> Product:
    return Product(number, Decimal(euros), paper, ink, dict(zip(LANGUAGES, words, strict=True)))


PRODUCTS = (
    _product(
        1, "8.50", "#DCE3E1", "#22403A",
        ("Grey sea salt", "Raked by hand at low tide, still damp"),
        ("Sel gris de Guérande", "Récolté à la main, encore humide"),
        ("Graues Meersalz", "Von Hand geharkt, noch feucht"),
    ),
    _product(
        2, "9.80", "#3B3733", "#F0DFC4",
        ("Birch-smoked salt", "Three nights over slow embers"),
        ("Sel fumé au bouleau", "Trois nuits sur la braise"),
        ("Birkenrauchsalz", "Drei Nächte über leiser Glut"),
    ),
    _product(
        3, "6.40", "#2F4A5C", "#E6EDF0",
        ("Juniper berries", "Blue, resinous, picked above the tree line"),
        ("Baies de genièvre", "Bleues, résineuses, cueillies en altitude"),
        ("Wacholderbeeren", "Blau, harzig, über der Baumgrenze gepflückt"),
    ),
    _product(
        4, "11.20", "#F1CF5B", "#3D3410",
        ("Preserved lemons", "A year in brine; the peel is the point"),
        ("Citrons confits", "Un an en saumure ; tout est dans l’écorce"),
        ("Salzzitronen", "Ein Jahr in Lake; auf die Schale kommt es an"),
    ),
    _product(
        5, "7.90", "#D98A3D", "#2E1B08",
        ("Bergamot marmalade", "Bitter first, then flowers"),
        ("Marmelade de bergamote", "Amère d’abord, florale ensuite"),
        ("Bergamottenmarmelade", "Erst bitter, dann Blüten"),
    ),
    _product(
        6, "5.60", "#B5573A", "#FBEFE3",
        ("Sardines in olive oil", "Packed by hand the day they land"),
        ("Sardines à l’huile d’olive", "Mises en boîte le jour de la pêche"),
        ("Sardinen in Olivenöl", "Am Tag des Fangs von Hand gelegt"),
    ),
    _product(
        7, "13.50", "#26221F", "#E3C9A0",
        ("Black garlic", "Forty days warm, sweet as a prune"),
        ("Ail noir", "Quarante jours au chaud, doux comme un pruneau"),
        ("Schwarzer Knoblauch", "Vierzig Tage warm, süß wie Pflaumen"),
    ),
    _product(
        8, "19.00", "#8A9A4A", "#FAF7E6",
        ("New olive oil", "October’s first press, peppery and green"),
        ("Huile d’olive nouvelle", "Première pression d’octobre, verte et poivrée"),
        ("Neues Olivenöl", "Erste Pressung im Oktober, grün und pfeffrig"),
    ),
    _product(
        9, "10.40", "#6B4226", "#F6E2BE",
        ("Buckwheat honey", "Dark, malty, a little wild"),
        ("Miel de sarrasin", "Sombre, malté, un peu sauvage"),
        ("Buchweizenhonig", "Dunkel, malzig, ein wenig wild"),
    ),
    _product(
        10, "8.90", "#4C3B4D", "#F0E2EC",
        ("Pickled walnuts", "For cheese, for beef, for midnight"),
        ("Noix au vinaigre", "Pour le fromage, le bœuf, et minuit"),
        ("Eingelegte Walnüsse", "Zu Käse, zu Rind, zu Mitternacht"),
    ),
    _product(
        11, "7.20", "#C4473F", "#FFF0E8",
        ("Rose harissa", "Slow heat with petals in it"),
        ("Harissa à la rose", "Une chaleur lente, avec des pétales"),
        ("Rosen-Harissa", "Langsame Schärfe mit Blütenblättern"),
    ),
    _product(
        12, "6.80", "#D9B44A", "#352B0C",
        ("Rye mustard", "Coarse, from the stone, with cider"),
        ("Moutarde au seigle", "À l’ancienne, sur meule, au cidre"),
        ("Roggensenf", "Grob, vom Stein, mit Apfelwein"),
    ),
    _product(
        13, "12.00", "#7A5C45", "#F7EBDC",
        ("Roasted hōjicha", "Green tea, toasted until it smells of bread"),
        ("Hōjicha torréfié", "Thé vert grillé, au parfum de pain chaud"),
        ("Gerösteter Hōjicha", "Grüntee, geröstet, bis er nach Brot duftet"),
    ),
    _product(
        14, "9.20", "#E7A07C", "#3A1C0E",
        ("Candied orange peel", "Long strips, six days in syrup"),
        ("Écorces d’orange confites", "Longues lanières, six jours au sirop"),
        ("Kandierte Orangenschale", "Lange Streifen, sechs Tage im Sirup"),
    ),
)  # fmt: skip
