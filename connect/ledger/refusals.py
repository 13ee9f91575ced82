"""What the ledger says no to, as exceptions that callers act on.

RunExists     this fire time has its run, or the campaign one that is still going: look at `record`
CallKnown     a call of this name has its run: look at `call`
RunEnded      there is nothing left to do for it
RunPaused     somebody has paused it since it was looked at: leave it alone
SliceHeld     another worker that is alive holds the slice, until then
CapHeld       a run that shares its cap works, or has deliveries that are not written yet
SlicesClosed  nothing of the run is open now: come back at `opens_at`
LeaseLost     another worker took the slice over: stop, commit nothing, finish nothing
Unaccounted   the caller and the ledger do not agree about a delivery: a bug, which says so
"""

from __future__ import annotations

from datetime import datetime

from connect.errors import ConnectError, Disposition, OutsideError, Problem, RunTrouble, UserError
from connect.ledger.owner import Owner
from connect.ledger.records import RunRecord
from connect.vocabulary import RunState


class RunExists(UserError):
    """The place of a run is taken; `record` says by which."""

    def __init__(self, record: RunRecord) -> None:
        hint = f"`connect runs show {record.id}` tells what became of it"
        if record.state is RunState.queued:
            hint = f"`connect daemon` begins it; `connect runs cancel {record.id}` ends it"
        super().__init__(
            Problem(
                "run-exists",
                f"{record.campaign} already has run {record.id} ({record.mode}, {record.state}) "
                f"for {record.fire_time:%Y-%m-%d %H:%M:%S} UTC",
                hint,
            )
        )
        self.record = record


class CallKnown(UserError):
    """A call of this name was made before; `run_id` says which run it got, and `request` what it asked."""

    def __init__(self, run_id: str, request: bytes) -> None:
        super().__init__(Problem("call-known", f"a call of this name has run {run_id}"))
        self.run_id, self.request = run_id, request


class RunEnded(UserError):
    """Somebody else has finished it, or ended it by hand."""

    def __init__(self, run_id: str, state: RunState) -> None:
        super().__init__(
            Problem("run-ended", f"run {run_id} has ended: {state}", "a new run starts with `connect run`")
        )


class RunPaused(ConnectError):
    """Somebody wants it to stand still, and has said so since the caller looked. Nothing is wrong."""

    exit_code = 0

    def __init__(self, run_id: str) -> None:
        super().__init__(
            Problem("run-paused", f"run {run_id} was paused meanwhile", f"`connect runs resume {run_id}` goes on")
        )
        self.run_id = run_id


class SliceHeld(OutsideError):
    """Another worker is at it; `until` is when its lease ends unless it renews."""

    def __init__(self, run_id: str, owner: Owner, until: datetime) -> None:
        super().__init__(
            Problem(
                "run-held",
                f"process {owner.pid} on {owner.hostname} is working on run {run_id}",
                f"let it finish, or stop it; if it is gone, its lease ends at {until:%H:%M:%S} UTC",
            )
        )
        self.owner = owner
        self.until = until


class CapHeld(OutsideError):
    """A run whose deliveries decide about the same people goes first. Nothing is wrong."""

    def __init__(self, run_id: str, holder: RunRecord) -> None:
        super().__init__(
            Problem(
                "cap-held",
                f"run {run_id} waits: its cap is held by {holder.campaign}",
                f"`connect runs show {holder.id}` tells how far that is; it lets go when its deliveries are written",
            )
        )
        self.holder = holder


class SlicesClosed(ConnectError):
    """All that is left of the run waits for its time, the first of it until `opens_at`. Nothing is wrong."""

    exit_code = 0

    def __init__(self, run_id: str, opens_at: datetime) -> None:
        super().__init__(
            Problem(
                "run-waits",
                f"run {run_id} waits: the next part of it opens at {opens_at:%Y-%m-%d %H:%M:%S} UTC",
                "a daemon goes on with it then, and so does `connect run`",
            )
        )
        self.run_id = run_id
        self.opens_at = opens_at


class LeaseLost(OutsideError):
    """Another worker took over, or the run was ended: nothing of this worker is written any more."""

    def __init__(self, run_id: str) -> None:
        super().__init__(
            Problem(
                "lease-lost",
                f"this process no longer holds run {run_id}; it was suspended for too long, or the run was ended",
                f"`connect runs show {run_id}` tells who works on it now",
            )
        )


class Unaccounted(RunTrouble):
    """A delivery was settled without an intent, settled twice, or the cursor was to go backwards."""

    def __init__(self, what: str) -> None:
        super().__init__(
            Disposition.fail,
            Problem(
                "ledger-unaccounted", f"the run does not add up: {what}", "this is a bug in Connect; please report it"
            ),
        )
