"""An endpoint of the user's that takes signed requests, as Standard Webhooks has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from connect.providers.signatures import standard_signature
from connect.redact import Secret
from connect.testing.api import Answer, Call


@dataclass
class Endpoint:
    """Answers 200, but for what `answers` says of a body."""

    secret: Secret
    answers: list[Callable[[Call], Answer | None]] = field(default_factory=list)
    taken: list[Call] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)
    """What was wrong with a request, never a value."""
    token: str = "let me in"

    def __call__(self, call: Call) -> Answer:
        if call.headers.get("authorization") != f"Bearer {self.token}":
            return Answer(401, b"" if call.method == "HEAD" else {"error": "who are you"})
        if call.method == "HEAD":
            return Answer(204)
        self.misfits += self._wrong(call)
        for answer in self.answers:
            if (said := answer(call)) is not None:
                return said
        self.taken.append(call)
        return Answer(200, {"ok": True})

    def _wrong(self, call: Call) -> list[str]:
        headers = call.headers
        found = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if name not in headers]
        if found:
            return found
        signature = standard_signature(self.secret, headers["webhook-id"], int(headers["webhook-timestamp"]), call.body)
        checks = {
            "signature": headers["webhook-signature"] == signature,
            "idempotency-key": headers.get("idempotency-key") == headers["webhook-id"],
            "id without a dot": "." not in headers["webhook-id"],
            "content-type": bool(headers.get("content-type")),
        }
        return [name for name, holds in checks.items() if not holds]
