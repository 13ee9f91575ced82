"""What the README and the quickstart say to do is done, word for word, in a new folder, at a terminal.

`sh` blocks are run as they stand, in one shell session. `yaml` blocks are saved where they say. A `text` block is what
the commands before it print: each of its lines is printed, in order.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from docs import markdown

BIN = Path(sys.executable).parent

README = markdown.ROOT / "README.md"
QUICKSTART = markdown.ROOT / "docs" / "quickstart.md"

RUN_ID = re.compile(r"\b0[0-9a-v]{15}\b")
INSTANT = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?( UTC)?)?")


def clone(root: Path) -> Path:
    """A stand-in for a clone after `make demo`: a `.venv` whose `connect` is the one that is tested."""
    folder = root / "connect"
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "activate").write_text(f"export PATH={shlex.quote(str(BIN))}:$PATH\n")
    return folder


def script(blocks: Sequence[markdown.Block]) -> str:
    """The shell session: each block prints a mark first, so that its output can be told from the others'."""
    parts = []
    for number, block in enumerate(blocks):
        parts.append(f"echo '=== {number}'")
        if block.language == "sh":
            parts.append(block.text if not block.note else f"({block.text}) || test $? -eq {exit_code(block)}")
        elif block.language == "yaml":
            redirect = ">>" if block.title.startswith("add to ") else ">"
            file = block.title.removeprefix("add to ")
            parts.append(f"cat {redirect} {file} <<'END OF BLOCK'\n{block.text}END OF BLOCK")
    return "set -e\n" + "\n".join(parts)


def exit_code(block: markdown.Block) -> str:
    found = re.fullmatch(r"exits with (\d+)", block.note)
    assert found, f"{block}: {block.note}"
    return found[1]


def at_a_terminal(text: str, folder: Path, environment: dict[str, str] | None = None, answers: str = "y\n" * 9) -> str:
    """What a shell prints, with a person who says yes to everything."""
    master, slave = pty.openpty()
    os.write(master, answers.encode())
    try:
        ran = subprocess.run(
            ["bash", "-c", text],
            cwd=folder,
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "200", **(environment or {})},
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(slave)
        with suppress(OSError):
            os.close(master)
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def normal(text: str) -> list[str]:
    """Lines without what differs from run to run."""
    text = INSTANT.sub("<instant>", RUN_ID.sub("<run>", text))
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def is_printed(shown: str, printed: str) -> str:
    """The first line that is shown and not printed after the ones before it; empty where all are."""
    lines = iter(normal(printed))
    return next((line for line in normal(shown) if line not in lines), "")


def follow(page: Path, heading: str, folder: Path) -> Path:
    """Do what a section says, hold its output against what it shows. Returns the project's folder."""
    blocks = [block for block in markdown.blocks(page, heading) if block.language in ("sh", "yaml", "text")]
    printed = at_a_terminal(script(blocks) + "\necho '=== end'\npwd", folder)
    outputs = re.split(r"^=== \w+\n", printed, flags=re.MULTILINE)[1:]
    since = ""
    for block, output in zip(blocks, outputs, strict=False):
        since = output if block.language != "text" else since + output
        if block.language == "text":
            missing = is_printed(block.text, since)
            assert not missing, f"{block} shows `{missing}`, and what is printed is\n{since}"
    return Path(outputs[-1].strip())


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that the README makes."""
    return follow(README, "Your own campaign in ten minutes", clone(tmp_path_factory.mktemp("readme")))


@pytest.fixture
def for_real(followed: Path, tmp_path: Path) -> Path:
    """A copy of it with the README's second connect.yml."""
    project = tmp_path / "club"
    shutil.copytree(followed, project)
    (block,) = [block for block in markdown.blocks(README, "For real") if block.title == "connect.yml"]
    (project / "connect.yml").write_text(block.text, "utf-8")
    return project


def make_live(project: Path, without: str = "") -> None:
    """Write what the README says into connect.yml, and take one thing away again."""
    texts = {name: (project / name).read_text("utf-8") for name in ("connect.yml", "campaigns/thank_you.yml")}
    texts["connect.yml"] = texts["connect.yml"].replace("mode: test", "mode: live")
    assert without in "".join(texts.values())
    for name, text in texts.items():
        (project / name).write_text(text.replace(without, "\n" if without.startswith(",") else ""), "utf-8")


KNOWN = {"SMTP_PASSWORD": "a password"}


def test_the_readmes_own_campaign(followed: Path) -> None:
    assert followed.name == "club"
    assert len(list((followed / "outbox").rglob("*.eml"))) == 3


def test_the_readmes_targets_are_sound(for_real: Path) -> None:
    connect = BIN / "connect"
    both = f"set -e; {connect} validate --target dev; {connect} validate --target prod"
    assert at_a_terminal(both, for_real, KNOWN).count("0 errors") == 2


def test_live_asks_before_it_connects(for_real: Path) -> None:
    make_live(for_real)
    command = f"{BIN / 'connect'} run thank_you --target prod || test $? -eq 2"
    assert "for real?" in at_a_terminal(command, for_real, KNOWN, answers="n\n")


@pytest.mark.parametrize(
    ("without", "code"),
    [
        ("status: live\n", "campaign-not-live"),
        ("  limits: {max: 100}\n", "live-without-limit"),
        (", subscribed\n", "live-without-opt-outs"),
        ("  url: https://club.example/unsubscribe?t={{ url.token }}\n", "live-without-unsubscribe"),
    ],
)
def test_live_needs_what_the_readme_says(for_real: Path, without: str, code: str) -> None:
    """Refused before anything is asked or connected to."""
    make_live(for_real, without)
    command = f"{BIN / 'connect'} run thank_you --target prod --yes || test $? -eq 2"
    assert f"error[{code}]" in at_a_terminal(command, for_real, KNOWN)


def test_the_quickstart(tmp_path: Path) -> None:
    follow(QUICKSTART, "Quickstart", clone(tmp_path))


def test_output_that_is_not_printed_would_be_seen() -> None:
    """A guard for the comparison."""
    printed = "run 01lg4l9emt0bqocu completed\nsent  3\n"
    assert is_printed("run 01lg4l2d3l5rdbl8 completed\n\nsent 3", printed) == ""
    assert is_printed("sent 4", printed) == "sent 4"
    assert is_printed("sent 3\nrun 01lg4l9emt0bqocu completed", printed).startswith("run")
