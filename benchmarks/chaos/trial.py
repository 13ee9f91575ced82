"""One scenario under fire, from an empty ledger to a completed run."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from benchmarks.chaos.accounts import Doubts, Evidence
from benchmarks.chaos.devices import Devices
from benchmarks.chaos.faults import Fault, Strike, strikes
from benchmarks.chaos.house import LEASE, TIMEOUT, House
from benchmarks.chaos.ledgers import LedgerPlace, ledger_at
from benchmarks.chaos.people import Audience, People
from benchmarks.chaos.scenario import ADAPTERS, RESEND, Scenario
from benchmarks.chaos.written import APART, Written
from connect.testing.receivers import Manners, Receivers
from connect.vocabulary import RunState

_PATIENCE = 180.0
"""Seconds after which something hangs."""
_ATTEMPTS = 12
_ENDED = (0, 1)
_STOPPED = 130
"""Exit codes of a run that ended, or stopped when it was asked to."""

Process = subprocess.Popen[bytes]


class Trouble(Exception):
    """The harness can not go on: something hangs, or refuses to run."""


def trial(
    scenario: Scenario,
    faults: Sequence[Fault],
    seed: int,
    root: Path,
    *,
    patient: bool = True,
    manners: Manners | None = None,
) -> Evidence:
    """Fire at a run, let it complete, and gather the evidence. Raises Trouble."""
    random = Random(f"{seed} {scenario}")
    manners = manners or _manners(scenario, random)
    with Receivers(manners) as receivers, ledger_at(scenario.ledger, root) as place:
        house = House(root, scenario, receivers, place.url + (APART if scenario.written else ""))
        written = Written.beside(place.url) if scenario.written else None
        if written is not None:
            written.settle(scenario.audience(len(faults)))
        kind = Devices if scenario.is_push else People
        people = kind.settle(root / "shop.duckdb", scenario.audience(len(faults)))
        range_ = Range(scenario, house, people, receivers, place, random)
        try:
            for strike in strikes(scenario, faults, random, patient=patient):
                range_.fire(strike)
            range_.complete()
            received, tallies = receivers.tallies(), house.tallies()
            rows = written.rows() if written is not None else None
            return Evidence(scenario, range_.hits, people, range_.doubts, received, tallies, range_.diary, rows)
        finally:
            range_.clear()
            house.close()


def _manners(scenario: Scenario, random: Random) -> Manners:
    whole = scenario.whole_calls
    remembers = scenario.idempotent and not whole
    manners = Manners(remembers=remembers, remembers_calls=whole, seed=random.randrange(10**9))
    if scenario.receiver not in ADAPTERS:
        return manners
    throttled = 0.001 if scenario.bulk == 1 else 0.01  # everybody waits a second each time
    later = 0.0 if scenario.receiver == RESEND else manners.later  # Resend can not say that of one message
    return replace(manners, throttled=throttled, slow=0.002, later=later)


class Range:
    """Where it is fired: at most one process works on the run, another may be suspended."""

    def __init__(
        self,
        scenario: Scenario,
        house: House,
        people: Audience,
        receivers: Receivers,
        place: LedgerPlace,
        random: Random,
    ) -> None:
        self.hits: Counter[str] = Counter()
        self.doubts = Doubts()
        self.diary: list[str] = []
        self._scenario, self._house, self._people = scenario, house, people
        self._receivers, self._place, self._random = receivers, place, random
        self._working: Process | None = None
        self._started: list[Process] = []
        self._fenced: list[Process] = []
        """Woken up after they lost their lease: they must end, whatever else happens."""
        self._began = 0.0

    def fire(self, strike: Strike) -> None:
        """Wait for the instant, and do it, unless the run has completed before."""
        if not self._until(strike):
            return
        self.hits[strike.fault] += 1
        self._note(f"{strike.fault}, process {self._working.pid if self._working else 0}")
        _FAULTS[strike.fault](self, strike)
        if self._working is None and self._scenario.churn and not self._completed():
            self._bury()
            self._people.churn(self._house.standing(), self._random)

    def _note(self, what: str) -> None:
        run = self._house.run()
        state = f"{run.state}, epoch {self._house.epoch()}" if run else "no run"
        self.diary.append(f"{time.monotonic():10.2f} {what}: {state}, {self._receivers.deliveries()} delivered")

    def complete(self) -> None:
        """Let the run go on until it has completed."""
        for _ in range(_ATTEMPTS):
            process = self._worker()
            if process is None:
                self._bury()
                return
            self._ended(process)
        raise self._trouble("the run does not complete")

    def _bury(self) -> None:
        """Those who lost their lease are gone before anybody touches the warehouse."""
        for process in self._fenced:
            self._until_ended(process, "the end of a process that lost its lease")
        self._fenced.clear()

    def clear(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()

    # When

    def _until(self, strike: Strike) -> bool:
        """Wait until it is time; False when there is nothing left to fire at."""
        for _ in range(_ATTEMPTS):
            process = self._worker()
            if process is None:
                return False
            if self._reached(strike, process):
                return True
            self._ended(process)
        raise self._trouble("the run does not get anywhere")

    def _worker(self) -> Process | None:
        """The process that works on the run, started if there is none; None when the run has completed."""
        if self._working is None:
            self._working = None if self._completed() else self._start()
        return self._working

    def _completed(self) -> bool:
        run = self._house.run()
        return run is not None and run.state is RunState.completed

    def _reached(self, strike: Strike, process: Process) -> bool:
        enough = self._receivers.deliveries() + strike.deliveries
        at = None if strike.seconds is None else self._began + strike.seconds

        def now() -> bool:
            late = at is not None and time.monotonic() >= at
            return late or self._receivers.deliveries() >= enough or process.poll() is not None

        self._wait(now, "deliveries")
        if at is None:
            time.sleep(strike.jitter)
        return process.poll() is None

    def _start(self) -> Process:
        process = self._house.start()
        self._started.append(process)
        self._began = time.monotonic()
        return process

    # What

    def kill(self, strike: Strike) -> None:
        assert self._working
        self._working.kill()
        self._dead()

    def term(self, strike: Strike) -> None:
        """What is in the air is finished: nothing is in doubt, but what may be sent again anyhow."""
        process = self._working
        assert process
        process.send_signal(signal.SIGTERM)
        self._until_ended(process, "stopping well")
        if process.returncode not in (*_ENDED, _STOPPED, -signal.SIGTERM):  # the last before it could say otherwise
            raise self._trouble(f"SIGTERM gave exit code {process.returncode}")
        left = self._dead()
        if left and not self._scenario.resends and process.returncode != -signal.SIGTERM:
            raise self._trouble(f"SIGTERM left {left} in doubt")

    def cut(self, strike: Strike) -> None:
        """The process may bear it, or give up."""
        self._place.cut(strike.lasts)
        process = self._working
        assert process
        if process.poll() is not None:
            self._ended(process)

    def stop(self, strike: Strike) -> None:
        """Suspended for longer than its lease, woken up when another process works on the run."""
        process = self._working
        assert process
        if not _suspended(process):
            self._ended(process)
            return
        epoch, left, held = self._house.epoch(), self._in_doubt(), self._house.held_by(process.pid)
        if self._take_over(epoch):
            more = self.doubts.leave(left)
            self._note(f"taken over, {more} more in doubt, {'held' if held else 'not held'} before")
            enough = self._receivers.deliveries() + self._random.randint(0, self._scenario.step)
            successor = self._working
            self._wait(
                lambda: self._receivers.deliveries() >= enough or successor is None or successor.poll() is not None,
                "the successor's deliveries",
            )
            process.send_signal(signal.SIGCONT)
            self._fenced.append(process)
            if not held:
                self._perhaps_inherits(process)
        else:  # it sleeps with the ledger's lock in its hand
            self.doubts.possible |= left
            self._note(f"not taken over, {len(left)} perhaps in doubt")
            process.send_signal(signal.SIGCONT)
            self._working = process

    def _perhaps_inherits(self, process: Process) -> None:
        """One that had not begun finds the run taken; or its successor has given up, and it is the one who works."""
        self._wait(lambda: process.poll() is not None or self._house.held_by(process.pid), "a rival")
        if process.poll() is None:
            self._fenced.remove(process)
            self._working = process

    def _take_over(self, epoch: int) -> bool:
        """Start processes until one of them has claimed the run; False when none can."""
        deadline = time.monotonic() + 4 * (LEASE + TIMEOUT)
        while time.monotonic() < deadline:
            successor = self._start()
            if self._claims(successor, epoch):
                self._working = successor
                return True
            self._house.wait_for_lease()
        return False

    def _claims(self, process: Process, epoch: int) -> bool:
        self._wait(lambda: process.poll() is not None or self._house.epoch() > epoch, "a takeover")
        return self._house.epoch() > epoch

    # After

    def _ended(self, process: Process) -> None:
        """A process ends by itself: the run has completed, or it gave up and said why."""
        self._until_ended(process, "the end of a process")
        self._dead()

    def _dead(self) -> int:
        """The process is gone; returns how many it left in doubt."""
        assert self._working
        pid, code = self._working.pid, self._working.wait()
        self._working = None
        left = self.doubts.leave(self._in_doubt())
        self._note(f"process {pid} ended with {code}, {left} more in doubt")
        return left

    def _in_doubt(self) -> set[int]:
        standing = self._house.standing()
        return self._people.of_keys(standing.in_doubt, standing.secret) if standing else set()

    def _until_ended(self, process: Process, what: str) -> None:
        self._wait(lambda: process.poll() is not None, what)

    def _wait(self, happened: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not happened():
            if time.monotonic() > deadline:
                raise self._trouble(f"waited in vain for {what}")
            time.sleep(0.005)

    def _trouble(self, what: str) -> Trouble:
        return Trouble(f"{self._scenario}: {what}\n{self._house.last_words()}")


def _suspended(process: Process) -> bool:
    """SIGSTOP, and wait until every thread has stopped; False when the process ended before."""
    process.send_signal(signal.SIGSTOP)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return True
    process.returncode = os.waitstatus_to_exitcode(status)
    return False


_FAULTS: dict[Fault, Callable[[Range, Strike], None]] = {
    Fault.kill: Range.kill,
    Fault.stop: Range.stop,
    Fault.term: Range.term,
    Fault.cut: Range.cut,
}
