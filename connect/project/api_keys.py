"""Keys of the API: random, shown once, and known again by their hash."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from connect.identity import RandomBytes, system_random
from connect.project.serve import ApiKey

PREFIX = "cnk_"


def new_key(random: RandomBytes = system_random) -> str:
    """256 random bits behind a prefix by which scanners for secrets know it."""
    return PREFIX + base64.urlsafe_b64encode(random(32)).rstrip(b"=").decode()


def hash_of(key: str) -> str:
    """What stands in connect.yml. A key is random: nobody finds it by trying, however fast the hash."""
    return f"sha256:{hashlib.sha256(key.encode(errors='replace')).hexdigest()}"


def whose(key: str, keys: Mapping[str, ApiKey]) -> str | None:
    """The name of a key. All are compared, in a time that says nothing about any."""
    hashed = hash_of(key)
    found = [name for name, known in keys.items() if hmac.compare_digest(known.hash, hashed)]
    return found[0] if found else None
