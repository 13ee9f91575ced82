"""The content of an HTTP request, compiled."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from connect.channels.email import Bad
from connect.channels.http import build_request
from connect.channels.message import Message, Request
from connect.errors import Problem
from connect.liquid.library import Library
from connect.liquid.tree import TreeTemplate, dumps
from connect.liquid.trouble import Refusal
from connect.pipeline import gates
from connect.pipeline.contents.bound import Asked, Columns, Compile, Recipient, Render, Scope, Where
from connect.pipeline.deliveries import Ended
from connect.project.message import HttpContent
from connect.project.secret_text import SecretText
from connect.project.text import Text
from connect.project.tree import Tree
from connect.redact import Secret
from connect.vocabulary import Channel, Reason

RenderBytes = Callable[[int, bytes, object], bytes]
Secrets = Mapping[str, Secret]
"""Text with references → the same with the secrets put in."""

_LIKE_JSON = re.compile(r'\s*(?:\{(?![{%])|\[|")')
_NOT_JSON = "the `body` does not render to JSON for this person"
_JSON_HINT = "write `body` as a mapping: what stands in its strings is quoted for you"
_JSON, _TEXT = "application/json", "text/plain; charset=utf-8"


class HttpTemplates:
    """A request's content, compiled once."""

    def __init__(self, content: HttpContent, library: Library, compile_text: Compile, secrets: Secrets) -> None:
        self.route, self.method, self.allow_private = content.provider, content.method, content.allow_private
        self.signing_secret = secrets[content.signing_secret.references] if content.signing_secret else None
        self._url = Recipient(content.url, library) if content.url else None
        values = content.headers.items()
        self.secret_headers = tuple(
            (name, secrets[value.references].reveal()) for name, value in values if isinstance(value, SecretText)
        )
        self._headers = [(name, compile_text(value, False)) for name, value in values if isinstance(value, Text)]
        self._text = compile_text(content.body, False) if isinstance(content.body, Text) else None
        self._tree = (
            TreeTemplate.of(content.body, lambda text: compile_text(text, False))
            if isinstance(content.body, Tree)
            else None
        )
        self.personal = self._url is not None and not self._url.constant

    def over(self, columns: Columns, scope: Scope) -> BoundHttp:
        return BoundHttp(
            self,
            self._url.over(columns, scope) if self._url else None,
            [(name, template.over(columns, scope)) for name, template in self._headers],
            self._body(columns, scope),
        )

    def _body(self, columns: Columns, scope: Scope) -> tuple[RenderBytes, str]:
        """What renders the body, and its type. One template that begins like JSON must be JSON for everybody."""
        if self._tree is not None:
            tree = self._tree.over(columns, scope)
            return (lambda row, key, urls: dumps(tree(row, key, urls))), _JSON
        assert self._text is not None
        text = self._text.over(columns, scope)
        if not _LIKE_JSON.match(self._text.text.source):
            return (lambda row, key, urls: text(row, key, urls).encode(errors="replace")), _TEXT
        place = self._text.text.location(1, 1)

        def checked(row: int, key: bytes, urls: object) -> bytes:
            rendered = text(row, key, urls)
            try:
                json.loads(rendered)
            except (ValueError, RecursionError):
                raise Refusal(Reason.not_json, Problem("not-json", _NOT_JSON, _JSON_HINT, place)) from None
            return rendered.encode(errors="replace")

        return checked, _JSON


class BoundHttp:
    """A request's content with a batch of rows."""

    def __init__(
        self,
        templates: HttpTemplates,
        url: Callable[[int], str] | None,
        headers: Sequence[tuple[str, Render]],
        body: tuple[RenderBytes, str],
    ) -> None:
        self.route, self._templates = templates.route, templates
        self._url, self._headers = url, headers
        self._body, self._type = body

    def addresses(self, row: int) -> Sequence[Where | Ended]:
        """The URL; blank for the account's own endpoint."""
        return (gates.address(Channel.http, self._url(row)) if self._url else "",)

    def build(self, asked: Asked) -> Message | Bad:
        row, key, urls = asked.row, asked.key, asked.urls
        templates = self._templates
        made = build_request(
            asked.address,
            method=templates.method,
            body=self._body(row, key, urls),
            content_type=self._type,
            headers=(
                *[(name, render(row, key, urls)) for name, render in self._headers],
                *templates.secret_headers,
            ),
            signing_secret=templates.signing_secret,
            allow_private=templates.allow_private,
        )
        if isinstance(made, Request) and (templates.personal or asked.redirected):
            return replace(made, personal=templates.personal, redirected=asked.redirected)
        return made
