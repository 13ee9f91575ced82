"""The other end of `tests.processes`: it has imported what commands need, and forks for each.

    python -m tests.forking DESCRIPTOR

Asked through a socket, `{"program", "arguments", "folder", "environment", "first"}` with four descriptors: standard
input, output and error, and where to write how it ended; `first` are the folders in which modules are looked for before
all others. The answer is the process id.
"""

from __future__ import annotations

import gc
import json
import os
import random
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import connect.cli

LAZY = (
    "alembic.command",
    "cryptography.hazmat.primitives.ciphers.aead",
    "resource",
    "rich._emoji_codes",
    "rich.progress",
    "ruamel.yaml",
    "sqlalchemy.dialects.sqlite",
    "sqlglot.dialects.duckdb",
    "sqlglot.generators.duckdb",
    "typer._adapters",
    "uvloop",
    "connect.ledger.migrations",
    "connect.ledger.sqlite",
    "connect.pipeline.contents.email",
    "connect.providers.http",
    "connect.providers.memory",
    "connect.providers.smtp",
    "connect.warehouses.duckdb",
)
"""What is imported when it is needed, and here is needed often."""


def prepare() -> None:
    """Import everything; but the command line anew for each, as it looks at its terminal when it is imported."""
    for module in iter_modules(connect.cli.__path__, "connect.cli."):
        import_module(module.name)
    for name in LAZY:
        import_module(name)
    for name in [name for name in sys.modules if name.startswith("connect.cli")]:
        del sys.modules[name]
    del sys.modules["connect"].cli  # type: ignore[attr-defined]
    gc.freeze()  # what is not looked at is not copied


def serve(asking: socket.socket) -> dict[str, Any]:
    """Fork for each request, and tell how each ends. Returns in the processes that are forked, with their request."""
    with selectors.DefaultSelector() as selector:
        selector.register(asking, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is not None:
                    selector.unregister(key.fd)
                    ended(key.fd, *key.data)
                    continue
                message, given, _, _ = socket.recv_fds(asking, 1 << 20, 4)
                if not message:
                    os._exit(0)
                pid = os.fork()
                if not pid:
                    mine = [key.fd for key in selector.get_map().values()]
                    mine += [key.data[1] for key in selector.get_map().values() if key.data]
                    become(given, [*mine, *given])
                    return json.loads(message)  # type: ignore[no-any-return]
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, given[3]))
                for descriptor in given[:3]:
                    os.close(descriptor)
                asking.send(str(pid).encode())


def ended(pidfd: int, pid: int, tell: int) -> None:
    os.close(pidfd)
    _, status = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):  # nobody wants to know
        os.write(tell, str(status).encode())
    os.close(tell)


def become(given: list[int], others: list[int]) -> None:
    for number, descriptor in enumerate(given[:3]):
        os.dup2(descriptor, number)
    for descriptor in others:
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run(request: dict[str, Any]) -> None:
    """As Python would that was started for it."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = [request["program"], *request["arguments"]]
    sys.path[:0] = request["first"]
    tempfile.tempdir = None
    time.tzset()
    random.seed()
    runpy.run_path(request["program"], run_name="__main__")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest
    prepare()
    run(serve(socket.socket(fileno=int(sys.argv[1]))))
