"""Where the values of secrets are found: the environment, `.env`, files, the keyring. Nothing prints them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from connect.errors import UserError
from connect.redact import Redactor

REFERENCE: Final = re.compile(r"\$\{([A-Za-z_]\w*|file:[^{}]+|keyring:[^{}/]+/[^{}]+)\}")
MALFORMED: Final = re.compile(r"\$\{(?!\{)[^{}]*\}?")
"""What is left of `${` when the references are taken out."""
FORMS: Final = "${NAME}, ${file:path} or ${keyring:service/name}"


class Vault:
    """The secrets of one project. A value that was found once is not asked for again."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._root, self._environment = root, environment
        self._found: dict[str, str] = {}

    def __repr__(self) -> str:
        return "Vault()"

    def value(self, name: str) -> str | None:
        """What a reference (without `${` and `}`) stands for; None where there is nothing, or it is blank."""
        if name not in self._found:
            value = self._ask(name)
            if not value:
                return None
            self._found[name] = value
        return self._found[name]

    def missing(self, name: str) -> tuple[str, str]:
        """What to say where there is no value: the message and the hint."""
        kind, _, rest = name.partition(":")
        if not rest:
            hint = f"set {name} in the environment, or in .env beside connect.yml"
        else:
            hint = f"write the file {rest}" if kind == "file" else _keyring_hint(rest)
        return f"there is no value for ${{{name}}}", hint

    def put_in(self, text: str, redactor: Redactor) -> str:
        """The text with every reference replaced. Raises UserError `missing-secret`."""
        found = {name: self.value(name) for name in REFERENCE.findall(text)}
        for name, value in found.items():
            if value is None:
                raise UserError.of("missing-secret", *self.missing(name))
            redactor.know((value, quote(value, safe="")))
        return REFERENCE.sub(lambda match: found[match[1]] or "", text)

    def _ask(self, name: str) -> str | None:
        kind, _, rest = name.partition(":")
        if not rest:
            return self._environment.get(name)
        return self._file(rest) if kind == "file" else _keyring(rest)

    def _file(self, name: str) -> str | None:
        try:
            return (self._root / name).expanduser().read_text("utf-8").rstrip("\r\n")
        except (OSError, ValueError):
            return None


def _keyring(name: str) -> str | None:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ModuleNotFoundError:
        return None
    service, _, user = name.partition("/")
    try:
        return keyring.get_password(service, user)
    except KeyringError:
        return None


def _keyring_hint(name: str) -> str:
    try:
        import keyring  # noqa: F401 - whether it is there
    except ModuleNotFoundError:
        return 'reading the keyring needs: pip install "connect-campaigns[keyring]"'
    service, _, user = name.partition("/")
    return f"store it: keyring set {service} {user}"
