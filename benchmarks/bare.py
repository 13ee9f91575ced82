"""A Typer application with nothing in it: what a start costs before anybody has written a line."""

from __future__ import annotations

import typer

app = typer.Typer(name="bare", help="Nothing.", no_args_is_help=True)


@app.command()
def run(name: str) -> None:
    """Nothing."""


@app.command()
def validate(name: str) -> None:
    """Nothing."""


if __name__ == "__main__":
    app()
