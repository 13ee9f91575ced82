"""What went wrong, as problem+json (RFC 9457). No answer repeats anything of the request, nor of a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from connect.errors import ConnectError, OutsideError, Problem, UserError
from connect.schedule.log import Log

MEDIA_TYPE = "application/problem+json"


_MISSING = {
    "ambiguous-run": "several runs begin with this id",
    "never-ran": "there is no campaign of this name that has run",
    "unknown-campaign": "there is no campaign of this name, or its file is broken",
    "unknown-message": "there is no message of this name",
    "unknown-run": "there is no run with this id",
}
"""In words that do not repeat what was asked for."""
_STATUS = {
    **dict.fromkeys(_MISSING, 404),
    **dict.fromkeys(("run-ended", "run-exists", "run-fleeting", "run-held", "run-queued"), 409),
    **dict.fromkeys(("campaign-not-live", "campaign-paused", "not-callable", "run-going-on"), 409),
}
"""Of mistakes that are not the request's own: what it asks for is not there, or not in the state for it."""


_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "list_type": "is not a list",
    "dict_type": "is not an object",
    "model_attributes_type": "is not an object",
    "string_type": "is not a text",
    "int_parsing": "is not a whole number",
    "enum": "is not one of those that there are",
    "string_pattern_mismatch": "has characters that it may not have",
    "string_too_long": "is too long",
    "string_too_short": "is too short",
    "too_long": "has too many",
    "too_short": "has too few",
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
}
"""Of what pydantic finds wrong, by its own name for that."""


class Refused(HTTPException):
    """A request that is answered with a problem: its status, and why.

    An HTTPException, which passes through FastAPI also where that reads the body by itself.
    """

    def __init__(
        self, status: int, code: str, detail: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.code, self.hint = code, hint


def answer(
    status: int, code: str, detail: str, hint: str = "", headers: Mapping[str, str] | None = None, **more: object
) -> JSONResponse:
    """One problem: its stable code, what is wrong, and what to do."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail}
    body |= {"hint": hint} if hint else {}
    return JSONResponse({**body, **more}, status, headers, MEDIA_TYPE)


def response(refused: Refused) -> JSONResponse:
    """Its answer."""
    return answer(refused.status_code, refused.code, refused.detail, refused.hint, refused.headers)


def of_problems(status: int, problems: Sequence[Problem]) -> JSONResponse:
    """The first of them, and the others beside it."""
    first, *others = problems
    told = [{"code": one.code, "detail": one.message, "hint": one.hint} for one in others]
    return answer(status, first.code, first.message, first.hint, None, **({"others": told} if told else {}))


def _place(wrong: Mapping[str, Any]) -> list[str]:
    """Where it is; a name that nothing has is the caller's, and may be a person's."""
    *outer, last = (str(part) for part in wrong["loc"])
    return [*outer, "…" if wrong["type"] == "extra_forbidden" else last]


def install(app: FastAPI, log: Log) -> None:
    """Everything that a route raises becomes a problem."""

    def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refused)
        return response(error)

    def of_http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        phrase = HTTPStatus(error.status_code).phrase
        headers = dict(error.headers or {})
        return answer(error.status_code, phrase.lower().replace(" ", "-"), phrase, headers=headers)

    def of_validation(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        if any(one["type"] == "json_invalid" for one in error.errors()):
            return answer(400, "bad-request", "the body is not JSON", "an object, such as `{}`")
        # Where and what kind, never what was given.
        wrong = [{"at": _place(one), "problem": _WORDS.get(one["type"], one["type"])} for one in error.errors()]
        return answer(422, "bad-request", "the request is not as it should be", errors=wrong)

    def of_ours(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ConnectError)
        if isinstance(error, UserError):
            first = error.problems[0]
            if first.code in _MISSING:
                return answer(404, first.code, _MISSING[first.code])
            return of_problems(_STATUS.get(first.code, 422), error.problems)
        log.trouble("request-failed", error)
        retry = {"Retry-After": "5"} if isinstance(error, OutsideError) else {}
        first = error.problems[0]
        return answer(503 if retry else 500, first.code, first.message, first.hint, retry)

    def unexpected(_: Request, error: Exception) -> JSONResponse:
        log.trouble("request-failed", error)
        return answer(500, "internal-error", "something went wrong here, and it was logged")

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_validation)
    app.add_exception_handler(ConnectError, of_ours)
    app.add_exception_handler(Exception, unexpected)
