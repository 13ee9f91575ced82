"""A small project on disk, held against the rules of mailboxes."""

from __future__ import annotations

from pathlib import Path

from connect import wiring
from connect.errors import Problem
from connect.liquid.library import Library
from connect.pipeline import deliverability
from connect.project.campaign import Campaign
from connect.project.campaigns import load_campaign
from connect.project.load import load_project, templates
from connect.project.project import Project

CONNECT = """\
name: shop
secret: ${CONNECT_SECRET}
providers: {mail: {type: memory}}
channels: {email: mail, sms: mail, push: mail, http: mail}
unsubscribe: {url: "https://acme.example/bye?t={{ url.token }}"}
"""
HEAD = "trigger: {type: immediate}\naudience: {people: [{id: 1, email: a@b.example}]}\n"


def project(root: Path, connect: str = CONNECT) -> Project:
    (root / "connect.yml").write_text(connect)
    environment = {"CONNECT_SECRET": "0123456789abcdef", "KEY": "not looked at before a message is signed"}
    return load_project(root, target=None, mode=None, environment=environment, adapters=wiring.adapters())


def campaign(root: Path, opened: Project, content: str, message: str = "") -> tuple[Campaign, str]:
    """The campaign with this content (lines of a list), and its file's text."""
    text = f"{HEAD}message:\n{message}  content:\n{content}"
    (root / "campaigns").mkdir(exist_ok=True)
    (root / "campaigns/spring.yml").write_text(text)
    loaded = load_campaign(opened, "spring")
    assert loaded.campaign is not None, loaded.problems
    return loaded.campaign, text


def warned(
    root: Path, content: str, *, connect: str = CONNECT, message: str = "", reaches_people: bool = True
) -> list[Problem]:
    opened = project(root, connect)
    made, _ = campaign(root, opened, content, message)
    return deliverability.warnings(opened, made, Library(templates(root)), reaches_people=reaches_people)
