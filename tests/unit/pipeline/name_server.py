"""A name server on this machine: real DNS over UDP, with the TXT records of a test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType

import dns.message
import dns.rcode
import dns.resolver
import dns.rrset


class NameServer:
    """Answers for these names, with NXDOMAIN for others; where `answers` is false it says nothing."""

    def __init__(self, records: Mapping[str, Sequence[str]], *, answers: bool = True, fails: bool = False) -> None:
        self.records = {f"{name.lower()}.": texts for name, texts in records.items()}
        """Name, with its last dot → texts."""
        self._answers, self._fails = answers, fails
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.asked: list[str] = []

    def __enter__(self) -> NameServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def resolver(self, lifetime: float = 10.0) -> dns.resolver.Resolver:
        made = dns.resolver.Resolver(configure=False)
        made.nameservers = ["127.0.0.1"]
        made.port = self._socket.getsockname()[1]
        made.timeout = made.lifetime = lifetime
        return made

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(4096)
            if not query:
                return
            question = dns.message.from_wire(query)
            self.asked.append(question.question[0].name.to_text().lower())
            if self._answers:
                self._socket.sendto(self._answer(question).to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        name = query.question[0].name
        texts = self.records.get(name.to_text().lower())
        if self._fails:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif texts is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif texts:
            quoted = [" ".join(f'"{part}"' for part in _parts(text)) for text in texts]
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *quoted))
        return answer


def _parts(text: str) -> list[str]:
    """A text of a record has at most 255 octets; longer ones stand in several."""
    escaped = [text[at : at + 200] for at in range(0, len(text), 200)]
    return [part.replace("\\", "\\\\").replace('"', '\\"') for part in escaped] or [""]
