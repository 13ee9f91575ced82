"""Where the CPU of a whole run goes: samples of the main thread's stack, and what each thread used.

    python -m benchmarks.sampling [PEOPLE [LANGUAGE]]     e-mail over SMTP with 8BITMIME; `sms` sends text messages

Samples are taken by CPU time, a thousand a second, so they disturb little; work that other threads do while the main
one waits is seen in the table of threads only. Linux.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from benchmarks import cores, processes, project
from benchmarks.sink import Sink

_TOP = 40


def main(people: int = 20_000, what: str = "english") -> None:
    """Run it in a process of its own, which prints what it found."""
    text = what == "sms"
    content = project.TEXT_MESSAGE if text else project.letter(what)
    with project.warehouse(people) as file, Sink("http" if text else "smtp") as sink:
        account = project.http(sink.port) if text else project.smtp(sink.port)
        with project.project(file, people, account, content) as root:
            command = [sys.executable, "-m", "benchmarks.sampling", "--inside"]
            cost = processes.measured(command, root, project.environment(root), cores.CLIENT)
            print(cost.output)
            print(f"{cost.cpu:.1f} s of CPU, {cost.wall:.1f} s, {people / cost.cpu:,.0f} messages a second of CPU")


def _inside() -> None:
    alone: Counter[str] = Counter()
    within: Counter[str] = Counter()

    def sample(_: int, frame: FrameType | None) -> None:
        alone[_name(frame)] += 1
        seen = set()
        while frame is not None:
            seen.add(_name(frame))
            frame = frame.f_back
        within.update(seen)

    sys.argv = ["connect", "run", "letters", "--yes"]
    from connect.cli.main import app
    from connect.cli.terminal import failing

    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    failing(app)
    signal.setitimer(signal.ITIMER_PROF, 0)
    for title, counter in (("itself", alone), ("with what it calls", within)):
        print(f"\n{title}")
        for name, count in counter.most_common(_TOP):
            print(f"  {count / max(1, alone.total()):6.1%}  {name}")
    print("\nthreads")
    for name, seconds in sorted(_threads().items(), key=lambda one: -one[1])[:12]:
        print(f"  {seconds:6.2f} s  {name}")


def _name(frame: FrameType | None) -> str:
    if frame is None:
        return "?"
    code = frame.f_code
    return f"{'/'.join(Path(code.co_filename).parts[-3:])}:{code.co_qualname}"


def _threads() -> dict[str, float]:
    """Name of a thread → seconds of CPU, for those that are alive."""
    found: dict[str, float] = {}
    for task in Path("/proc/self/task").iterdir():
        name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
        user, system = map(int, rest.split()[11:13])
        whose = "(main)" if task.name == str(os.getpid()) else task.name
        found[f"{name} {whose}"] = (user + system) / os.sysconf("SC_CLK_TCK")
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        _inside()
    else:
        main(*(kind(value) for kind, value in zip((int, str), sys.argv[1:], strict=False)))
