"""Health for load balancers and Prometheus; public, and silent about anything inside."""

from __future__ import annotations

from litestar import get
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Struct

from hub.api.ports import Wired
from hub.api.problems import PROBLEM_JSON, Problem
from hub.runtime.telemetry import metrics_text


class Health(Struct, frozen=True):
    """A sign of life."""

    status: str


@get("/healthz", tags=["system"], operation_id="healthz")
async def healthz() -> Health:
    """The process is alive."""
    return Health("ok")


@get(
    "/readyz", tags=["system"], operation_id="readyz",
    responses={503: ResponseSpec(Problem, media_type=PROBLEM_JSON, generate_examples=False)},
)  # fmt: skip
async def readyz(wiring: Wired) -> Health:
    """The process can work: its database answers."""
    async with wiring.database.system_tx() as tx:
        await tx.value("SELECT 1")
    return Health("ready")


@get("/metrics", tags=["system"], operation_id="metrics", media_type="text/plain; version=0.0.4")
async def metrics() -> bytes:
    """Prometheus metrics of this process."""
    return metrics_text()
