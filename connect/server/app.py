"""The application: every part's routes behind the guard."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import cast

from fastapi import FastAPI

from connect.server import openapi, problems
from connect.server.guard import App, Guard
from connect.server.site import Part, Site


def make_app(site: Site, parts: Sequence[Part]) -> App:
    """What a server runs."""
    return site.speed.around(Guard(cast(App, make_routes(site, parts))))


def make_routes(site: Site, parts: Sequence[Part]) -> FastAPI:
    """The routes alone, with their OpenAPI document."""
    app = openapi.make_app(version())
    problems.install(app, site.log)
    for part in parts:
        app.include_router(part.routes())
    return app


def version() -> str:
    """Of this installation."""
    try:
        return metadata.version("connect-campaigns")
    except metadata.PackageNotFoundError:  # a checkout that was never installed
        return "0"
