"""`connect keys` and `connect openapi`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from connect.project.api_keys import hash_of
from tests import processes


def connect(folder: Path, *arguments: str, **more: str) -> tuple[int, str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("CONNECT_")}
    environment = {**own, "CONNECT_SECRET": "a secret of this test", **more}
    done = processes.run(processes.COMMAND, *arguments, folder=folder, environment=environment, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "connect.yml").write_text("name: shop\nsecret: ${CONNECT_SECRET}\n")
    return tmp_path


def test_a_new_key_is_printed_once_with_what_stands_in_the_file(folder: Path) -> None:
    code, key, told = connect(folder, "keys", "new", "ci", "--scope", "send", "--scope", "trigger")
    assert (code, hash_of(key.strip()) in told) == (0, True)
    (folder / "connect.yml").write_text((folder / "connect.yml").read_text() + told.partition("\n\n")[2])
    assert connect(folder, "keys", "list")[1] == "ci: send, trigger, at most 50/s\n"
    assert connect(folder, "keys", "check", CONNECT_API_KEY=key.strip())[1] == "ci: send, trigger, at most 50/s\n"
    code, out, err = connect(folder, "keys", "check", CONNECT_API_KEY="cnk_wrong")
    assert (code, "unknown-api-key" in err, "cnk_wrong" in out + err) == (2, True, False)


def test_the_document_is_printed_without_a_project(tmp_path: Path) -> None:
    code, out, _ = connect(tmp_path, "openapi")
    assert code == 0
    assert "/messages/{name}" in json.loads(out)["paths"]
