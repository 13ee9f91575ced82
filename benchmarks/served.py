"""`connect serve` as a process on a core of its own, what is posted to it, and what it uses."""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

from benchmarks import cores
from benchmarks.processes import installed


@dataclass(frozen=True, slots=True)
class Use:
    cpu: float
    """Seconds, since the first request could be answered."""
    peak: float
    """MB."""


@dataclass
class Served:
    """A project in a folder, served until the context ends. Linux only."""

    folder: Path
    secret: str
    url: str = ""
    process: Any = None
    reading: Any = None
    before: float = 0.0

    def __enter__(self) -> Served:
        environment = {**os.environ, "CONNECT_SECRET": self.secret}
        command = [installed("connect"), "serve", "--listen", "127.0.0.1:0", "--log-format", "json"]
        with cores.on(cores.CLIENT):
            self.process = Popen(command, cwd=self.folder, env=environment, stdout=DEVNULL, stderr=PIPE, text=True)
        for line in self.process.stderr:
            if json.loads(line)["action"] == "serving":
                self.url = json.loads(line)["url"].removeprefix("http://")
                break
        self.reading = threading.Thread(target=self.process.stderr.read, daemon=True)
        self.reading.start()
        self.before = self._cpu()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.reading.join()
        self.process.stderr.close()
        self.process.wait()

    @contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        with closing(http.client.HTTPConnection(self.url, timeout=60)) as connection:
            yield connection

    def use(self) -> Use:
        """What it has used so far."""
        peak = next(line for line in self._proc("status").splitlines() if line.startswith("VmHWM"))
        return Use(max(self._cpu() - self.before, 0.001), int(peak.split()[1]) / 1024)

    def _cpu(self) -> float:
        stat = self._proc("stat").rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self.process.pid}/{name}").read_text()


def posted(connection: http.client.HTTPConnection, path: str, body: bytes, headers: Mapping[str, str]) -> int:
    """The status of the answer, which is read to its end."""
    connection.request("POST", path, body, dict(headers))
    answer = connection.getresponse()
    answer.read()
    return answer.status
