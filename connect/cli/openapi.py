"""`connect openapi`: the API as a document for other programs."""

from __future__ import annotations

from connect.cli.options import Debug
from connect.cli.terminal import print_json


def openapi(debug: Debug = False) -> None:
    """Print the OpenAPI document of the API that `connect serve` answers. It is the same for every project."""
    from connect.cli.serving import must_be_installed

    must_be_installed()
    from connect.server.app import version
    from connect.server.openapi import document

    print_json(document(version()))
