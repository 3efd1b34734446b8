"""Work that failed for good: dead jobs, to be replayed or dropped by an operator."""

from __future__ import annotations

from datetime import datetime

import msgspec
from litestar import get, post
from litestar.params import FromPath

from hub.api.access import needs
from hub.api.pages import Page
from hub.api.ports import Work
from hub.api.problems import answers
from hub.kernel import NotFound
from hub.runtime.jobs import DeadJob, dead_jobs, drop_job, replay_job

_SHOWN = 500


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
async def list_dead_jobs(tx: Work) -> Page[DeadJobShape]:
    """The newest 500 jobs that failed too often and wait for a decision."""
    return Page([DeadJobShape.of(job) for job in await dead_jobs(tx, _SHOWN)], None)


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
