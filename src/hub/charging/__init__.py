"""The heart: whose identifier may charge, and sessions that exist exactly once with their energy
to the Wh. Prices of ended sessions, CDRs and money are settlement's."""

from hub.charging.authorize import Authorizer, grant_remote
from hub.charging.closing import close_abandoned_session, close_session
from hub.charging.cost import note_price
from hub.charging.exceptions import exceptions, resolve_exception
from hub.charging.model import Authorization, Session, SessionException, Token, fold_uid
from hub.charging.opening import open_session
from hub.charging.periods import pricing_periods
from hub.charging.store import readings, session
from hub.charging.tokens import (
    block_token,
    expire_token,
    save_token,
    token,
    tokens,
    tokens_by_uid,
)
from hub.charging.updating import record_meters, record_updates, update_session
from hub.charging.views import (
    count_partner_sessions,
    open_sessions,
    partner_sessions,
    sessions,
)
from hub.charging.watch import close_abandoned, note_boot, note_status

__all__ = [
    "Authorization",
    "Authorizer",
    "Session",
    "SessionException",
    "Token",
    "block_token",
    "close_abandoned",
    "close_abandoned_session",
    "close_session",
    "count_partner_sessions",
    "exceptions",
    "expire_token",
    "fold_uid",
    "grant_remote",
    "note_boot",
    "note_price",
    "note_status",
    "open_session",
    "open_sessions",
    "partner_sessions",
    "pricing_periods",
    "readings",
    "record_meters",
    "record_updates",
    "resolve_exception",
    "save_token",
    "session",
    "sessions",
    "token",
    "tokens",
    "tokens_by_uid",
    "update_session",
]
