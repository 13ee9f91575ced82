"""The OpenAPI document of the API: the same for every project."""

from __future__ import annotations

from typing import Any, cast

from fastapi import FastAPI

from connect.server.api import Api
from connect.server.problems import MEDIA_TYPE
from connect.server.site import Site

JSON = "application/json"
TITLE = "Connect"
DESCRIPTION = (
    "Campaigns, messages and runs of one project. Each call needs a key of `serve.keys`; problems are RFC 9457."
)


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Problems have a media type of their own, which FastAPI has no word for."""
        found = super().openapi()
        for way in found["paths"].values():
            for told in way.values():
                for status, response in told["responses"].items():
                    content = response.get("content", {})
                    if int(status) >= 400 and JSON in content:
                        content[MEDIA_TYPE] = content.pop(JSON)
        return found


def make_app(version: str) -> FastAPI:
    """An application that says nothing of its project to whoever reads its document."""
    return _App(
        title=TITLE,
        description=DESCRIPTION,
        version=version,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )


def document(version: str) -> dict[str, Any]:
    """As `GET /openapi.json` gives it."""
    app = make_app(version)
    app.include_router(Api(cast(Site, None)).routes())
    return app.openapi()
