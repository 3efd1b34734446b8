"""What waits for a person: dead jobs, and exceptions of sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from hub.api.access import needs
from hub.api.commands import uuid_of
from hub.api.pages import Cursor, Limit, Page, key_of, page_of
from hub.api.ports import Work
from hub.api.problems import answers
from hub.charging import SessionException, exceptions, resolve_exception
from hub.kernel import NotFound
from hub.runtime.jobs import DeadJob, dead_jobs, drop_job, replay_job

Resolved = Annotated[
    bool | None, QueryParameter(name="resolved", description="Only those that are resolved.")
]


class DeadJobShape(msgspec.Struct, frozen=True, kw_only=True):
    """A job that failed too often. ``payload`` is the event that it answers."""

    id: str
    name: str
    lane: str | None
    payload: msgspec.Raw
    attempts: int
    last_error: str | None
    run_at: datetime

    @classmethod
    def of(cls, job: DeadJob) -> DeadJobShape:
        """The shape of a stored job."""
        return cls(
            id=str(job.id), name=job.name, lane=job.lane, payload=msgspec.Raw(job.payload),
            attempts=job.attempts, last_error=job.last_error, run_at=job.run_at,
        )  # fmt: skip


@get(
    "/jobs/dead", tags=["system"], operation_id="list_dead_jobs", responses=answers(),
    guards=[needs("system:read")],
)  # fmt: skip
async def list_dead_jobs(tx: Work, limit: Limit = 50, cursor: Cursor = None) -> Page[DeadJobShape]:
    """Jobs that failed too often and wait for a decision, newest first."""
    key = key_of(cursor, tuple[int])
    rows = await dead_jobs(tx, limit + 1, before=key[0] if key else None)
    return page_of(rows, limit, lambda job: (job.id,), DeadJobShape.of)


@post(
    "/jobs/{job_id:str}/replay", tags=["system"], operation_id="replay_job",
    responses=answers(404), guards=[needs("system:write")], status_code=204,
)  # fmt: skip
async def replay_dead_job(tx: Work, job_id: FromPath[str]) -> None:
    """Try a dead job again, at once and with all its attempts."""
    await replay_job(tx, job_number(job_id))


@post(
    "/jobs/{job_id:str}/drop", tags=["system"], operation_id="drop_job",
    responses=answers(404), guards=[needs("system:write")], status_code=204,
)  # fmt: skip
async def drop_dead_job(tx: Work, job_id: FromPath[str]) -> None:
    """Give a dead job up, which frees the jobs that wait behind it."""
    await drop_job(tx, job_number(job_id))


def job_number(job_id: str) -> int:
    """The number of a job; what cannot be one is ``NotFound`` like what is none."""
    if not job_id.isascii() or not job_id.isdigit() or len(job_id) > 18:
        raise NotFound("dead job", job_id)
    return int(job_id)


class ExceptionShape(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a session that a person must look at."""

    id: str
    kind: str
    station_id: str
    session_id: str | None
    detail: str
    message: msgspec.Raw
    at: datetime
    resolved_at: datetime | None
    resolution: str | None
    resolved_by: str | None

    @classmethod
    def of(cls, one: SessionException) -> ExceptionShape:
        """The shape of a stored exception."""
        members = {name: getattr(one, name) for name in cls.__struct_fields__}
        session_id = None if one.session_id is None else str(one.session_id)
        return cls(**(members | {
            "id": str(one.id), "session_id": session_id, "message": msgspec.Raw(one.message),
        }))  # fmt: skip


class Resolution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person decided."""

    resolution: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


@get(
    "/exceptions", tags=["system"], operation_id="list_exceptions", responses=answers(),
    guards=[needs("charging:read")],
)  # fmt: skip
async def list_exceptions(
    tx: Work, resolved: Resolved = False, limit: Limit = 50, cursor: Cursor = None
) -> Page[ExceptionShape]:
    """Orphans, conflicts and impossible values, newest first."""
    key = key_of(cursor, tuple[UUID])
    rows = await exceptions(tx, before=key[0] if key else None, limit=limit + 1, resolved=resolved)
    return page_of(rows, limit, lambda one: (one.id,), ExceptionShape.of)


@post(
    "/exceptions/{exception_id:str}/resolve", tags=["system"], operation_id="resolve_exception",
    responses=answers(404, 409), guards=[needs("charging:write")], status_code=204,
)  # fmt: skip
async def resolve(tx: Work, exception_id: FromPath[str], data: JSONBody[Resolution]) -> None:
    """Say what was decided; a session that was held for it is settled as it stands."""
    await resolve_exception(tx, uuid_of(exception_id, "exception"), data.resolution)
