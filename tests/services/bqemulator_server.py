"""bqemulator as a server that behaves more like BigQuery. Run by the Python of its own environment, which has it.

    .services/bqemulator/bin/python -P tests/services/bqemulator_server.py

It listens on a free port of this machine, prints the port, and ends when its standard input does.

What the emulator lacks is added here:
- signing in, with a token that the key of a registered account has signed;
- jobs that run beside each other, can be cancelled, have a time-out, and are waited for (the emulator runs each
  within the request that begins it); results that are read while they come, so that large ones need no memory;
- dry runs that run nothing, tell bytes (eight for each cell of a table) and keep to `maximumBytesBilled`;
- transactions over the jobs of a session; writers one after the other; accounts that may only read.

`/control/…` is for tests: who may sign in, how much is running, and to lose every job.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

os.environ["HOME"] = sys.prefix  # where DuckDB finds its extensions

from bqemulator.observability.logging_ import configure_logging

configure_logging(level="critical", fmt="console")

import bqemulator.server as emulator
import pyarrow
import sqlglot
from bqemulator.api.dependencies import AppContext
from bqemulator.api.routes import jobs as routes
from bqemulator.config import Settings
from bqemulator.domain.errors import DomainError
from bqemulator.jobs import executor
from bqemulator.row_access.identity import CallerIdentity
from bqemulator.storage import engine
from bqemulator.storage.arrow_bridge import arrow_table_to_bq_rows
from bqemulator.storage.sql_identifiers import quoted_table_ref
from bqemulator.versioning.snapshots import SnapshotManager
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from google.auth import jwt
from sqlglot import exp

_CELL = 8
_MEBIBYTE = 1 << 20
_LEAST = 10 * _MEBIBYTE
"""What a query that reads anything is billed for, at least. https://cloud.google.com/bigquery/pricing"""
_CHUNK = 10_000
_KEPT = 50_000
"""So many rows that were handed out can be asked for again."""

STATUS = {"accessDenied": 403, "notFound": 404, "duplicate": 409, "stopped": 499, "internalError": 500}
"""Why a job failed → the status of the answer to who asks for its rows."""

Send = Callable[[dict[str, Any]], Awaitable[None]]


# Connections


CURSOR: ContextVar[Any] = ContextVar("CURSOR", default=None)
JOB: ContextVar[Job | None] = ContextVar("JOB", default=None)
DRY: ContextVar[str] = ContextVar("DRY", default="")
"""How a statement is asked about instead of run."""
WRITING = threading.Lock()


def connection(self: engine.DuckDBEngine) -> Any:
    """The connection of the job that asks; of the server, where there is none."""
    return CURSOR.get() or self._connection


def new_cursor(context: AppContext) -> Any:
    cursor = context.engine._connection.cursor()
    cursor.execute("set TimeZone = 'UTC'")
    return cursor


def fetch_arrow(self: engine.DuckDBEngine, sql: str, parameters: list[Any] | None = None) -> pyarrow.Table:
    """What a statement returns; of a job, what comes first."""
    if how := DRY.get():
        sql = how.format(sql)
    result = self.connection.execute(sql, parameters or [])
    stream = Stream(result)
    table = stream.more()
    job = JOB.get()
    while stream.open and (job is None or table.num_rows < _CHUNK):
        table = pyarrow.concat_tables([table, stream.more()])
    if job is not None:
        job.stream = stream
    return table


class Stream:
    """The rows of a query, as they come."""

    def __init__(self, result: Any) -> None:
        self._description = result.description
        self._reader = result.to_arrow_reader(_CHUNK)
        self.open = True

    def more(self) -> pyarrow.Table:
        batch = next(iter(self._reader), None)
        self.open = batch is not None
        table = pyarrow.Table.from_batches([batch] if self.open else [], self._reader.schema)
        return engine._annotate_with_duckdb_types(table, self._description)


@asynccontextmanager
async def write_lock(self: engine.DuckDBEngine) -> Any:
    """The emulator's own is of one event loop, and each job has one; jobs that write wait for `WRITING`."""
    yield


engine.DuckDBEngine.connection = property(connection)
engine.DuckDBEngine.fetch_arrow = fetch_arrow
engine.DuckDBEngine.write_lock = write_lock
SnapshotManager.record_change = lambda *_: None  # a copy of the table after every change, for travelling in time


# Jobs


class Job:
    """A statement that runs in a thread."""

    def __init__(
        self, context: AppContext, project: str, name: str, config: dict[str, Any], account: dict[str, Any]
    ) -> None:
        self.context, self.project, self.name, self.config = context, project, name, config
        self.query = config["query"]
        self.sql = with_dataset(self.query, project)
        self.session = session_of(context, self.query)
        self.account = account
        self.error: dict[str, Any] | None = None
        self.statistics: dict[str, Any] = {}
        self.table = pyarrow.table({})
        self.start = 0
        self.schema: list[dict[str, Any]] = []
        self.stream: Stream | None = None
        self.why = ""
        self.done = threading.Event()
        self._lock = threading.Lock()
        self._cursor = self.session.cursor if self.session else new_cursor(context)
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self, why: str) -> None:
        """Again and again: what has not begun yet can not be interrupted."""
        self.why = self.why or why
        while not self.done.wait(0.02):
            self._cursor.interrupt()

    def page(self, offset: int, count: int) -> tuple[list[Any], bool]:
        """Some rows, and whether there are more."""
        with self._lock:
            while self.stream and self.stream.open and offset + count >= self.start + self.table.num_rows:
                self.table = pyarrow.concat_tables([self.table, self.stream.more()])
            forgotten = max(0, offset - _KEPT - self.start)
            self.table, self.start = self.table.slice(forgotten), self.start + forgotten
            rows = arrow_table_to_bq_rows(self.table, offset=offset - self.start, limit=count)
            return rows, offset + count < self.start + self.table.num_rows

    def resource(self) -> dict[str, Any]:
        status: dict[str, Any] = {"state": "DONE" if self.done.is_set() else "RUNNING"}
        if self.error and self.done.is_set():
            status |= {"errorResult": self.error, "errors": [self.error]}
        reference = {"projectId": self.project, "jobId": self.name, "location": "US"}
        return {
            "kind": "bigquery#job",
            "id": f"{self.project}:US.{self.name}",
            "jobReference": reference,
            "configuration": self.config,
            "status": status,
            "statistics": self.statistics,
        }

    def _run(self) -> None:
        CURSOR.set(self._cursor)
        JOB.set(self)
        milliseconds = int(self.config.get("jobTimeoutMs") or 0)
        timer = threading.Timer(milliseconds / 1000, self.stop, ["timeout"]) if milliseconds else None
        if timer:
            timer.start()
        try:
            self._work()
        except DomainError as error:
            self.error = routes._domain_error_to_error_result(error)
        except Exception as error:
            self.error = {"reason": "internalError", "message": f"An internal error occurred: {error}"}
        if self.why:
            said = "Job timed out" if self.why == "timeout" else "User requested cancellation"
            self.error = {"reason": "stopped", "message": f"Job execution was cancelled: {said}"}
        self.done.set()
        if timer:
            timer.cancel()

    def _work(self) -> None:
        if self.session and self.session.control(self.sql):
            return
        kind = kind_of(self.sql)
        if kind != "SELECT" and not self.account["writes"]:
            message = f"Access Denied: Dataset {self.project}: Permission bigquery.tables.create denied on dataset"
            raise failure("accessDenied", f"{message} (or it may not exist).")
        self._bill()
        if kind == "SELECT" or (self.session and self.session.busy):
            self._execute()
            return
        while not WRITING.acquire(timeout=0.02):
            if self.why:
                return
        try:
            self._execute()
        finally:
            WRITING.release()

    def _bill(self) -> None:
        size = size_of(self.context, self.project, self.sql)
        billed = -(-max(size, _LEAST) // _MEBIBYTE) * _MEBIBYTE if size else 0
        limit = int(self.query.get("maximumBytesBilled") or 0)
        if limit and billed > limit:
            message = f"Query exceeded limit for bytes billed: {limit}. {billed} or higher required."
            raise failure("bytesBilledLimitExceeded", message)
        self.statistics |= {"totalBytesProcessed": str(size), "query": {"totalBytesBilled": str(billed)}}

    def _execute(self) -> None:
        if self.why:
            return
        caller, parameters = caller_of(self.account), self.query.get("queryParameters")
        if kind_of(self.sql) == "SELECT":
            self.table = selected(self.context, self.project, self.sql, parameters, caller)
            self.schema = executor.build_response_schema(self.table.schema)
            return
        asked = executor.execute_query_job(self.project, self.name, self.sql, parameters, self.context, caller=caller)
        self.statistics["query"] |= asyncio.run(asked).statistics.get("query", {})
        self.table = executor.JOB_RESULTS.pop(self.name)
        self.schema = executor.JOB_SCHEMAS.pop(self.name)
        TRANSLATED.clear()


def selected(context: AppContext, project: str, sql: str, parameters: Any, caller: CallerIdentity) -> pyarrow.Table:
    """What a statement returns, without looking whether it changes the catalog: that parses it a dozen times."""
    return asyncio.run(executor._run_single_sql(project, sql, parameters, context, caller=caller))


@lru_cache(1000)
def kind_of(sql: str, told: Callable[[str], str] = executor.classify_statement_type) -> str:
    """What BigQuery calls a statement; the emulator has no name for a UNION, nor for several of them."""
    if len(parsed(sql)) > 1:
        return "SCRIPT"
    return told(sql) or ("SELECT" if any(isinstance(each, exp.Query) for each in parsed(sql)) else "")


def parsed(sql: str) -> list[exp.Expression]:
    """The statements of a text; none where it has a mistake, of which the emulator will tell."""
    try:
        return [statement for statement in sqlglot.parse(sql, read="bigquery") if statement is not None]
    except sqlglot.errors.SqlglotError:
        return []


executor.classify_statement_type = routes.classify_statement_type = kind_of

TRANSLATED: dict[tuple[str, str, str], str] = {}
"""(project, statement, who asks) → in DuckDB's SQL, until tables may have changed: a dry run and its run are alike."""

Told = Callable[..., Awaitable[str]]


async def translated(
    sql: str, *, project_id: str, caller: Any, told: Told = executor.rewrite_and_translate_statement, **given: Any
) -> str:
    known = project_id, sql, str(caller)
    if known not in TRANSLATED:
        TRANSLATED[known] = await told(sql, project_id=project_id, caller=caller, **given)
    return TRANSLATED[known]


executor.rewrite_and_translate_statement = translated


def with_dataset(query: dict[str, Any], project: str) -> str:
    """A statement whose tables all name their dataset; BigQuery's own schema has to be named with one as it is."""
    if "INFORMATION_SCHEMA" in query["query"]:
        return str(query["query"])
    return routes._apply_default_dataset(query["query"], query, request_project_id=project)


def failure(reason: str, message: str) -> DomainError:
    error = DomainError(message)
    error.bq_reason = reason  # type: ignore[misc]
    error.http_status = STATUS.get(reason, 400)  # type: ignore[misc]
    return error


def size_of(context: AppContext, project: str, sql: str) -> int:
    """The bytes of every table that a statement names."""
    named = {
        (table.catalog or project, table.db, table.name)
        for statement in parsed(sql)
        for table in statement.find_all(exp.Table)
        if table.db and table.name
    }
    found = [name for name in named if context.catalog.get_table(*name) is not None]
    cursor = new_cursor(context)
    size = 0
    for name in found:
        (count,) = cursor.execute(f"select count(*) from {quoted_table_ref(*name)}").fetchone()
        columns = len(cursor.execute(f"select * from {quoted_table_ref(*name)} limit 0").description)
        size += count * columns * _CELL
    return size


class Session:
    """Jobs that share a transaction."""

    def __init__(self, context: AppContext) -> None:
        self.name = secrets.token_hex(16)
        self.cursor = new_cursor(context)
        self.busy = False

    def control(self, sql: str) -> bool:
        """Whether this was a statement about the transaction, which is done then."""
        words = " ".join(sql.upper().replace(";", " ").split())
        if words == "BEGIN TRANSACTION":
            WRITING.acquire()
            self.busy = True
            self.cursor.execute("begin transaction")
        elif words in ("COMMIT TRANSACTION", "ROLLBACK TRANSACTION", "CALL BQ.ABORT_SESSION()"):
            self._end("commit" if words.startswith("COMMIT") else "rollback")
        return words.endswith("TRANSACTION") or words.startswith("CALL BQ.")

    def _end(self, how: str) -> None:
        if self.busy:
            self.busy = False
            try:
                self.cursor.execute(how)
            finally:
                WRITING.release()


JOBS: dict[str, Job] = {}
SESSIONS: dict[str, Session] = {}
LOST: set[str] = set()


def session_of(context: AppContext, query: dict[str, Any]) -> Session | None:
    if query.get("createSession"):
        session = Session(context)
        SESSIONS[session.name] = session
        return session
    for named in query.get("connectionProperties") or []:
        if named.get("key") == "session_id":
            return SESSIONS[named["value"]]
    return None


# Routes


router = APIRouter()


@router.post("/bigquery/v2/projects/{project}/jobs")
async def insert(project: str, request: Request) -> Any:
    body = await request.json()
    config = body["configuration"]
    context = request.app.state.context
    if "query" not in config:
        return await routes.insert_job(project, request, context, None)
    if config.get("dryRun"):
        return await asyncio.to_thread(dry_run, context, project, config, caller_of(account_of(request.scope) or {}))
    name = body["jobReference"].get("jobId") or secrets.token_hex(8)
    if name in JOBS:
        raise failure("duplicate", f"Already Exists: Job {project}:US.{name}")
    job = JOBS[name] = Job(context, project, name, config, account_of(request.scope) or {})
    if job.session:
        job.statistics["sessionInfo"] = {"sessionId": job.session.name}
    return job.resource()


def dry_run(context: AppContext, project: str, config: dict[str, Any], caller: CallerIdentity) -> dict[str, Any]:
    """What a query would return and cost. The emulator runs it to tell; here it runs without rows."""
    CURSOR.set(new_cursor(context))
    query = config["query"]
    sql = with_dataset(query, project)
    kind, parameters = kind_of(sql), query.get("queryParameters")
    fields: list[dict[str, Any]] = []
    if kind in ("SELECT", *LOOKED_AT):
        DRY.set("explain {}" if kind in LOOKED_AT else "select * from (\n{}\n) limit 0")
        table = selected(context, project, sql, parameters, caller)
        fields = [] if kind in LOOKED_AT else executor.build_response_schema(table.schema)
    size = str(size_of(context, project, sql))
    told = {"statementType": kind, "totalBytesProcessed": size, "schema": {"fields": fields}}
    return {
        "kind": "bigquery#job",
        "jobReference": {"projectId": project, "location": "US"},
        "configuration": config,
        "status": {"state": "DONE"},
        "statistics": {"totalBytesProcessed": size, "query": told},
    }


LOOKED_AT = {"INSERT", "UPDATE", "DELETE", "MERGE"}
"""Statements that change rows: their tables and columns are looked at, as those of a query are."""


@router.get("/bigquery/v2/projects/{project}/jobs/{name}")
def get(project: str, name: str) -> Any:
    return found(name).resource()


@router.post("/bigquery/v2/projects/{project}/jobs/{name}/cancel")
def cancel(project: str, name: str) -> Any:
    threading.Thread(target=found(name).stop, args=["cancelled"], daemon=True).start()
    return {"kind": "bigquery#jobCancelResponse", "job": found(name).resource()}


@router.get("/bigquery/v2/projects/{project}/queries/{name}")
def results(project: str, name: str, request: Request) -> Any:
    asked = request.query_params
    job = found(name)
    answer: dict[str, Any] = {
        "kind": "bigquery#getQueryResultsResponse",
        "jobReference": job.resource()["jobReference"],
    }
    if not job.done.wait(int(asked.get("timeoutMs", 10_000)) / 1000):
        return {**answer, "jobComplete": False}
    if job.error:
        raise failure(job.error["reason"], job.error["message"])
    offset = int(asked.get("pageToken") or asked.get("startIndex") or 0)
    count = int(asked.get("maxResults", _CHUNK))
    rows, more = job.page(offset, count)
    answer |= {"jobComplete": True, "schema": {"fields": job.schema}, "rows": rows}
    answer |= {"totalRows": str(job.start + job.table.num_rows)}  # BigQuery knows it, as it has them all
    return {**answer, "pageToken": str(offset + count)} if more else answer


def found(name: str) -> Job:
    if name not in JOBS:
        raise failure("notFound", f"Not found: Job {name}")
    return JOBS[name]


# Who may


ACCOUNTS: dict[str, dict[str, Any]] = {}
SEEN: dict[str, dict[str, Any]] = {}


def account_of(scope: Any) -> dict[str, Any] | None:
    """Whoever signed the token with a key that is registered. https://google.aip.dev/auth/4111 says what is in it."""
    token = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
    try:
        claimed = ACCOUNTS[jwt.decode(token, verify=False)["iss"]]
        if token not in SEEN:
            jwt.decode(token, certs=claimed["key"])
    except (KeyError, ValueError):
        return None
    return SEEN.setdefault(token, claimed)


@router.post("/control/accounts")
async def register(request: Request) -> Any:
    """Somebody who may sign in: `{email, key, writes}`."""
    account = await request.json()
    ACCOUNTS[account["email"]] = account
    return {}


@router.get("/control/state")
def state() -> Any:
    return {"busy": sum(not job.done.is_set() for job in JOBS.values())}


@router.post("/control/cut")
def cut() -> Any:
    """Who asks for a job that is here now gets no answer any more."""
    LOST.update(JOBS)
    return {}


def caller_of(account: dict[str, Any]) -> CallerIdentity:
    return CallerIdentity(f"serviceAccount:{account.get('email', 'nobody')}")


class Guarded:
    """The emulator's application, for those who signed in, until a job is lost."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        path = scope.get("path", "")
        if any(part in LOST for part in path.split("/")):
            receive.__self__.transport.abort()
        elif path.startswith(("/bigquery/", "/upload/")) and account_of(scope) is None:
            said = {"code": 401, "message": "Request had invalid authentication credentials.", "errors": []}
            await Response(JSONResponse({"error": said}).body, 401, media_type="application/json")(scope, receive, send)
        else:
            await self._application(scope, receive, send)


def application(context: AppContext, made: Callable[[AppContext], Any] = emulator.create_app) -> Any:
    app = made(context)
    app.router.routes[:0] = router.routes
    return Guarded(app)


emulator.create_app = application


# Running


async def main() -> None:
    server = emulator.EmulatorServer(Settings(rest_port=0, grpc_port=0, log_level="critical"))
    await server.start()
    print(server.rest_port, flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.read)  # until whoever started it ends, however that is
    os._exit(0)  # jobs may still run, and nothing is kept


if __name__ == "__main__":
    asyncio.run(main())
