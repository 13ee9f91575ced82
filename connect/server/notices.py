"""Short pages for who has come to a link that shows nothing: without scripts, and quoting nothing of the request."""

from __future__ import annotations

import html
import secrets
from collections.abc import Mapping
from typing import NamedTuple

from fastapi.responses import HTMLResponse

from connect.server.languages import negotiated


class Notice(NamedTuple):
    """What a page says."""

    title: str
    text: str


NOTHING: Mapping[str, Notice] = {
    "en": Notice(
        "There is nothing here",
        "This link does not lead anywhere. It may have been cut short: try to open it from the message itself.",
    ),
    "de": Notice(
        "Hier ist nichts",
        "Dieser Link führt nirgendwohin. Vielleicht wurde er abgeschnitten: Öffnen Sie ihn aus der Nachricht selbst.",
    ),
    "fr": Notice(
        "Il n’y a rien ici",
        "Ce lien ne mène nulle part. Il a peut-être été coupé : essayez de l’ouvrir depuis le message lui-même.",
    ),
    "es": Notice(
        "Aquí no hay nada",
        "Este enlace no lleva a ninguna parte. Puede que esté cortado: intente abrirlo desde el propio mensaje.",
    ),
}
GONE: Mapping[str, Notice] = {
    "en": Notice(
        "This message can not be shown any more",
        "Nothing is kept of what was sent, and what this message was made from is not there any more.",
    ),
    "de": Notice(
        "Diese Nachricht kann nicht mehr angezeigt werden",
        "Von Verschicktem wird nichts aufbewahrt, und woraus diese Nachricht entstand, gibt es nicht mehr.",
    ),
    "fr": Notice(
        "Ce message ne peut plus être affiché",
        "Rien de ce qui a été envoyé n’est conservé, et ce dont ce message était fait n’existe plus.",
    ),
    "es": Notice(
        "Este mensaje ya no se puede mostrar",
        "No se guarda nada de lo que se envió, y aquello de lo que se hizo este mensaje ya no existe.",
    ),
}
LATER: Mapping[str, Notice] = {
    "en": Notice("This message can not be shown right now", "Please try again in a minute."),
    "de": Notice(
        "Diese Nachricht kann gerade nicht angezeigt werden", "Bitte versuchen Sie es in einer Minute noch einmal."
    ),
    "fr": Notice("Ce message ne peut pas être affiché pour le moment", "Veuillez réessayer dans une minute."),
    "es": Notice("Este mensaje no se puede mostrar en este momento", "Inténtelo de nuevo dentro de un minuto."),
}

_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style nonce="{nonce}">
:root {{ color-scheme: light dark }}
body {{ margin: 0 auto; max-width: 34rem; padding: 1.5rem; font: 1.0625rem/1.5 system-ui, sans-serif }}
h1 {{ font-size: 1.4rem; line-height: 1.25 }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{text}</p>
</main>
</body>
</html>
"""


def page(
    status: int, notices: Mapping[str, Notice], accept_language: str, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """A page that says one thing, in the language that the browser asks for where there is that."""
    language, nonce = negotiated(accept_language, notices, "en"), secrets.token_urlsafe(16)
    title, text = map(html.escape, notices[language])
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    told = {"Content-Security-Policy": policy, "X-Robots-Tag": "noindex", "Vary": "Accept-Language", **(headers or {})}
    return HTMLResponse(_PAGE.format(language=language, title=title, text=text, nonce=nonce), status, told)
