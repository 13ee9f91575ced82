"""fakesnow as a server that behaves like Snowflake towards a driver. Run by the Python of its own environment.

    .services/fakesnow/bin/python -P tests/services/fakesnow_server.py

It listens on a free port of this machine, prints the port, and ends when its standard input does.

What the emulator lacks is added here, and in the modules beside this one:
- signing in: it lets everybody in and answers too little for version 5 of the driver (`fakesnow_login`);
- queries that run on while the driver asks for them by their id, that can be aborted and have a time-out, and results
  in several files (`fakesnow_queries`);
- `POST /control/…` is for tests: `users`, `execute`, `cut`, and `GET /control/told`, what was asked of the server.
"""

from __future__ import annotations

import socket
import sys
import threading
import warnings
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parent / "fakesnow_parts"))

import fakesnow.server as emulator
import login
import queries
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


async def ignored(request: Request) -> Response:
    """Whatever else a driver tells a server."""
    queries.TOLD[request.url.path] += 1
    return JSONResponse({"data": None, "code": None, "message": None, "success": True})


async def execute(request: Request) -> Response:
    """Statements, as somebody who may do anything."""
    asked = await request.json()
    connection = emulator.shared_fs.connect(asked["database"], "PUBLIC")
    for statement in asked["statements"]:
        await queries.in_thread(connection.cursor().execute, statement)
    connection.close()
    return JSONResponse({})


OWN = [
    Route("/control/users", login.register, methods=["POST"]),
    Route("/control/execute", execute, methods=["POST"]),
    Route("/control/cut", queries.cut, methods=["POST"]),
    Route("/control/told", queries.told, methods=["GET"]),
    Route("/session/v1/login-request", login.login, methods=["POST"]),
    Route("/session", queries.session, methods=["POST"]),
    Route("/queries/v1/query-request", queries.query, methods=["POST"]),
    Route("/queries/v1/abort-request", queries.abort_request, methods=["POST"]),
    Route("/queries/{query_id}/result", queries.result, methods=["GET"]),
    Route("/monitoring/queries/{query_id:path}", queries.status, methods=["GET"]),
    Route("/queries/{query_id}/abort-request", queries.abort, methods=["POST"]),
    Route("/chunks/{chunk}", queries.chunk, methods=["GET"]),
]
TAKEN = {route.path for route in OWN}
ROUTES = [
    *OWN,
    *(route for route in emulator.routes if route.path not in TAKEN and "/monitoring" not in route.path),
    Route("/{path:path}", ignored, methods=["GET", "POST", "PUT"]),
]


def end_with_input(server: uvicorn.Server) -> None:
    """Stop when whoever started this does, however that ends."""
    sys.stdin.read()
    server.should_exit = True


def main() -> None:
    warnings.filterwarnings("ignore", "Arrow output on a DB-API result")
    emulator.logger.setLevel("CRITICAL")  # it logs the text of every query that fails
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=ROUTES), log_level="critical", timeout_graceful_shutdown=1))
    threading.Thread(target=end_with_input, args=[server], daemon=True).start()
    print(listening.getsockname()[1], flush=True)  # noqa: T201
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
