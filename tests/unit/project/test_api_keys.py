"""Keys of the API are random, and known again by their hash."""

from __future__ import annotations

from connect.project.api_keys import hash_of, new_key, whose
from connect.project.serve import ApiKey


def test_a_key_is_known_by_its_hash_and_no_other_is() -> None:
    mine, others = new_key(), new_key()
    keys = {name: ApiKey(hash=hash_of(key)) for name, key in {"a": others, "b": mine}.items()}
    assert whose(mine, keys) == "b"
    assert whose(mine + " ", keys) is None
    assert whose("", keys) is None
    assert whose("\ud800", keys) is None


def test_a_key_has_256_random_bits_behind_its_prefix() -> None:
    assert new_key(lambda size: bytes(range(size))) == "cnk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert new_key() != new_key()
