"""Queries as Snowflake runs them: asked for by id while they run, aborted, with a time-out, with results in files."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import logging
import secrets
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import fakesnow.server as emulator
import pyarrow
from login import PARAMETERS, content, failed
from starlette.concurrency import run_in_threadpool as in_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

CHUNK_BYTES = 1 << 20

TOLD: Counter[str] = Counter()
"""Path → how often something was told to it that nobody here listens to."""

CHUNKS: dict[str, bytes] = {}
OF_SESSION: defaultdict[str, list[str]] = defaultdict(list)
"""Token → the files of its results."""

CANCELED = ("000604", "SQL execution canceled", "57014")
LOCKS: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
"""Database → whose turn it is to change something: the emulator has no locks, and two changes would collide."""


@dataclass
class Running:
    """A query that runs, and what will be answered."""

    token: str
    session: Any
    stopped: tuple[str, str, str] | None = None
    answer: asyncio.Future[Response] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def stop(self, why: tuple[str, str, str]) -> None:
        self.stopped = self.stopped or why
        self.session._duck_conn.interrupt()


RUNNING: dict[str, Running] = {}
"""By the id of the query; those that are asked for later too."""
REQUESTS: dict[str, Running] = {}
"""By the id of the request, for those that the driver waits for."""
TASKS: set[asyncio.Task[None]] = set()


async def query(request: Request) -> Response:
    asked = await content(request)
    token = emulator.to_token(request)
    if token not in emulator.sessions:
        return failed("390104", "User must login again to access the service.", "08001")
    running = Running(token, emulator.sessions[token])
    task = asyncio.create_task(run(request, asked, running))
    TASKS.add(task)
    task.add_done_callback(TASKS.discard)
    if not asked.get("asyncExec"):
        REQUESTS[request.query_params.get("requestId", "")] = running
        return await running.answer
    query_id = str(uuid.uuid4())
    RUNNING[query_id] = running
    data = {"queryId": query_id, "getResultUrl": f"/queries/{query_id}/result", "queryAbortsAfterSecs": 300}
    return JSONResponse({"data": data, "code": "333334", "message": "in progress", "success": True})


async def run(request: Request, asked: dict[str, Any], running: Running) -> None:
    """Have the emulator execute it, and say what it says, or that it was stopped."""
    watch = asyncio.create_task(time_out(asked, running))
    try:
        if asked.get("describeOnly") and asked.get("bindings") and is_read(asked):
            with_types(request, asked)
        async with turn(asked, running):
            answer = await emulator.query_request(request)
        if running.stopped:
            answer = failed(*running.stopped)
        elif answer.status_code == 200:
            answer = await in_thread(in_files, answer, running.token, str(request.base_url))
        else:
            answer = failed("000603", "SQL execution internal error", "XX000")
    except Exception as error:  # noqa: BLE001 - whoever waits must be answered
        answer = failed("000603", f"SQL execution internal error: {error!r}", "XX000")
    finally:
        watch.cancel()
    running.answer.set_result(answer)


def turn(asked: dict[str, Any], running: Running) -> asyncio.Lock:
    return asyncio.Lock() if is_read(asked) else LOCKS[running.session.database]


def is_read(asked: dict[str, Any]) -> bool:
    return str(asked["sqlText"]).lstrip(" (\n").lower().startswith(("select", "with"))


def with_types(request: Request, asked: dict[str, Any]) -> None:
    """Have a query with values described by running it for no rows: the emulator would take each value for a null."""
    sql = f"select * from (\n{asked['sqlText']}\n) as described limit 0"
    body = json.dumps({**asked, "sqlText": sql, "describeOnly": False}).encode()
    packed = request.headers.get("Content-Encoding") == "gzip"
    request._body = gzip.compress(body) if packed else body


async def time_out(asked: dict[str, Any], running: Running) -> None:
    """Stop the query when its time is over; of parameters the statement's come before the session's."""
    name = "STATEMENT_TIMEOUT_IN_SECONDS"
    seconds = {**PARAMETERS[running.token], **(asked.get("parameters") or {})}.get(name)
    if seconds:
        await asyncio.sleep(int(seconds))
        said = f"Statement reached its statement or warehouse timeout of {seconds} second(s) and was canceled."
        running.stop(("000630", said, "57014"))


async def result(request: Request) -> Response:
    """What a query gave; of one that still runs, only that."""
    running = of_query(request)
    if running is None:
        return failed("390104", "User must login again to access the service.", "08001")
    if running.answer.done():
        return running.answer.result()
    data = {"getResultUrl": request.url.path}
    return JSONResponse({"data": data, "code": "333334", "message": "in progress", "success": True})


async def status(request: Request) -> Response:
    """How far a query is."""
    running = of_query(request)
    if running is None:
        return failed("390104", "User must login again to access the service.", "08001")
    done = running.answer.done()
    failure = {} if not done else json.loads(bytes(running.answer.result().body))
    state = "RUNNING" if not done else "SUCCESS" if failure["success"] else "FAILED_WITH_ERROR"
    return JSONResponse({"data": {"queries": [{"status": state}]}, "success": True})


def of_query(request: Request) -> Running | None:
    running = RUNNING.get(request.path_params["query_id"].strip("/"))
    return running if running and running.token in emulator.sessions else None


async def abort(request: Request) -> Response:
    if running := RUNNING.get(request.path_params["query_id"].strip("/")):
        running.stop(CANCELED)
    return JSONResponse({"data": None, "code": None, "message": None, "success": True})


async def abort_request(request: Request) -> Response:
    if running := REQUESTS.get((await content(request)).get("requestId", "")):
        running.stop(CANCELED)
    return JSONResponse({"data": None, "code": None, "message": None, "success": True})


def in_files(answer: Response, token: str, base: str) -> Response:
    """An answer with its rows; where there are many, they are in files to be fetched one by one."""
    said = json.loads(bytes(answer.body))
    data = said.get("data") or {}
    table = TABLES.pop(base64.b64decode(data.get("rowsetBase64") or "").decode(), None)
    if table is None:
        return answer
    rows = max(1, table.num_rows * CHUNK_BYTES // max(1, table.nbytes))
    first, *others = [table.slice(start, rows) for start in range(0, max(1, table.num_rows), rows)]
    data |= {"rowsetBase64": base64.b64encode(as_file(first)).decode(), "returned": table.num_rows}
    if others:
        data |= {"chunks": [stored(part, token, base) for part in others], "chunkHeaders": {}, "qrmk": ""}
    return JSONResponse(said)


TABLES: dict[str, pyarrow.Table] = {}


def put_aside(table: pyarrow.Table) -> bytes:
    """Where the emulator would make one text of all rows: the name of the table, for `in_files`."""
    name = secrets.token_hex(16)
    TABLES[name] = pyarrow.table([nullable(column) for column in table.columns], fields(table.schema))
    return name.encode()


def fields(schema: pyarrow.Schema) -> pyarrow.Schema:
    return pyarrow.schema([field.with_type(plain(field.type)) for field in schema])


def plain(kind: pyarrow.DataType) -> pyarrow.DataType:
    """An instant is a struct; the emulator says that its parts are never null, and has nulls in them."""
    if not pyarrow.types.is_struct(kind):
        return kind
    return pyarrow.struct([field.with_nullable(True) for field in kind])


def nullable(column: pyarrow.ChunkedArray) -> pyarrow.Array:
    array = column.combine_chunks()
    if not pyarrow.types.is_struct(array.type):
        return array
    parts = [array.field(place) for place in range(array.type.num_fields)]
    return pyarrow.StructArray.from_arrays(parts, fields=list(plain(array.type)), mask=parts[0].is_null())


emulator.to_ipc = put_aside


def described(columns: list[Any], known: Any = emulator.describe_as_rowtype) -> Any:
    """The types of columns; of arrays the emulator knows none."""
    arrays = {column[0] for column in columns if column[1].endswith("[]")}
    told = known([(column[0], "JSON" if column[0] in arrays else column[1], *column[2:]) for column in columns])
    return [{**column, "type": "array"} if column["name"] in arrays else column for column in told]


def as_sent(table: pyarrow.Table, rowtype: Any, known: Any = emulator.to_sf) -> pyarrow.Table:
    """A table as it travels: arrays as the text of JSON, indented as Snowflake does."""
    for place, column in enumerate(table.columns):
        if pyarrow.types.is_list(column.type):
            texts = [array_text(value, column.type.value_type) for value in column.to_pylist()]
            table = table.set_column(place, table.schema.field(place).name, pyarrow.array(texts, pyarrow.string()))
    return known(table, rowtype)


def array_text(values: list[Any] | None, kind: pyarrow.DataType) -> str | None:
    if values is None:
        return None
    json_already = getattr(kind, "extension_name", "") == "arrow.json"
    texts = ("undefined" if v is None else v if json_already else json.dumps(v, default=float) for v in values)
    return "[\n  " + ",\n  ".join(texts) + "\n]"


emulator.describe_as_rowtype = described
emulator.to_sf = as_sent


def as_file(table: pyarrow.Table) -> bytes:
    out = io.BytesIO()
    with pyarrow.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return out.getvalue()


def stored(table: pyarrow.Table, token: str, base: str) -> dict[str, Any]:
    name, content = secrets.token_hex(16), as_file(table)
    CHUNKS[name] = content
    OF_SESSION[token].append(name)
    sizes = {"uncompressedSize": len(content), "compressedSize": len(content)}
    return {"url": f"{base}chunks/{name}", "rowCount": table.num_rows, **sizes}


async def chunk(request: Request) -> Response:
    """A file of a result; to a link that is too old a store of files answers 403."""
    found = CHUNKS.get(request.path_params["chunk"])
    return Response(found) if found is not None else Response("AccessDenied", 403)


async def session(request: Request) -> Response:
    """Signing out ends what runs, and takes the results away."""
    answer = await emulator.session(request)
    if request.query_params.get("delete"):
        forget(emulator.to_token(request))
    return answer


def forget(token: str) -> None:
    for name in OF_SESSION.pop(token, []):
        CHUNKS.pop(name, None)
    for found in (RUNNING, REQUESTS):
        for key in [key for key, running in found.items() if running.token == token]:
            if not found[key].answer.done():
                found[key].stop(CANCELED)
            del found[key]


async def cut(request: Request) -> Response:
    """Everybody who is signed in to a database is no more, as far as the server knows."""
    database = (await request.json())["database"].upper()
    for token in [token for token, one in emulator.sessions.items() if one.database == database]:
        del emulator.sessions[token]
        forget(token)
    return JSONResponse({})


async def told(request: Request) -> Response:
    """What runs, how many are signed in, with which parameters the last one did, and what was told."""
    busy = sum(not running.answer.done() for running in {id(one): one for one in all_running()}.values())
    last = list(PARAMETERS.values())[-1:]
    known = {"sessions": len(emulator.sessions), "parameters": last[0] if last else {}}
    return JSONResponse({"busy": busy, **known, "told": TOLD})


def all_running() -> list[Running]:
    return [*RUNNING.values(), *REQUESTS.values()]


def from_binding(binding: dict[str, str], known: Any = emulator.from_binding) -> Any:
    """A bound value; of numbers the emulator knows the whole ones."""
    kind, value = binding["type"], binding["value"]
    if value is None:
        return None
    if kind == "REAL":
        return float(value)
    return Decimal(value) if kind == "FIXED" and "." in value else known(binding)


emulator.from_binding = from_binding
logging.getLogger("sqlglot").setLevel("CRITICAL")
