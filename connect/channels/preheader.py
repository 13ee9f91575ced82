"""The line that inboxes show beside the subject: in the page, and hidden there."""

from __future__ import annotations

import html
import re

# A <body> inside a conditional comment (for Outlook) is skipped; without any the head's end will do.
_BODY = re.compile(r"""<!--.*?-->|(?P<body><body(?:\s(?:"[^"]*"|'[^']*'|[^>"'])*)?>)""", re.IGNORECASE | re.DOTALL)
_HEAD_END = re.compile(r"</head\s*>|<html[^>]*>|<!doctype[^>]*>", re.IGNORECASE)
_HIDDEN = "display:none;max-height:0;overflow:hidden;mso-hide:all"
_PREVIEWED = 100  # about as many characters as inboxes preview: the rest is filled, or they would show the body


def with_preheader(page: str, preheader: str) -> str:
    """The page with this text, escaped and hidden, at the start of its body; as it is where the text is blank."""
    if not preheader:
        return page
    filling = "&zwnj;&nbsp;" * max(0, _PREVIEWED - len(preheader))
    block = f'<div style="{_HIDDEN}">{html.escape(preheader)}{filling}</div>'
    at = _body_start(page)
    return page[:at] + block + page[at:]


def _body_start(page: str) -> int:
    for found in _BODY.finditer(page):
        if found["body"]:
            return found.end()
    return max((found.end() for found in _HEAD_END.finditer(page)), default=0)
