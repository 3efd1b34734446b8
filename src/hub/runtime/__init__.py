"""The floor every room stands on: settings, Postgres, the unit of work, events, jobs, live bus,
secrets, outbound HTTP, telemetry. No word of charging here.
"""

from hub.runtime.bus import Bus, LocalBus, Subscription
from hub.runtime.clock import FastClock, SystemClock, clock_of
from hub.runtime.db import PLATFORM, Database, Tx
from hub.runtime.events import Event, Job, Retry, Subscriptions, flow_job, job
from hub.runtime.jobs import JobRunner
from hub.runtime.settings import Settings, SettingsError, load_settings
from hub.runtime.trace import correlated, correlation

__all__ = [
    "PLATFORM",
    "Bus",
    "Database",
    "Event",
    "FastClock",
    "Job",
    "JobRunner",
    "LocalBus",
    "Retry",
    "Settings",
    "SettingsError",
    "Subscription",
    "Subscriptions",
    "SystemClock",
    "Tx",
    "clock_of",
    "correlated",
    "correlation",
    "flow_job",
    "job",
    "load_settings",
]
