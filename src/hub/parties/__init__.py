"""Who takes part: our own roles, connected platforms (partners), and their parties.

Credentials are kept as hashes and sealed secrets; agreements say what may be exchanged. No
protocol here.
"""

from hub.parties.agreements import agree, end_agreement, may_exchange
from hub.parties.credentials import (
    authenticate_partner,
    drop_credentials,
    fade_credentials,
    grant_credential,
    token_out,
    use_credential,
)
from hub.parties.model import (
    Credential,
    Endpoint,
    Invited,
    OwnParty,
    Partner,
    PartnerState,
    Party,
    PartyClaim,
    PartyRole,
)
from hub.parties.parties import (
    PartyTaken,
    ensure_own_party,
    our_parties,
    our_party,
    parties_of,
    party_owner,
    register_party,
)
from hub.parties.partners import (
    connect_partner,
    endpoint_of,
    endpoints_of,
    invite_partner,
    partner_by_id,
    partners,
    partners_with,
    plan_partner,
    save_endpoints,
    set_partner_state,
)

__all__ = [
    "Credential",
    "Endpoint",
    "Invited",
    "OwnParty",
    "Partner",
    "PartnerState",
    "Party",
    "PartyClaim",
    "PartyRole",
    "PartyTaken",
    "agree",
    "authenticate_partner",
    "connect_partner",
    "drop_credentials",
    "end_agreement",
    "endpoint_of",
    "endpoints_of",
    "ensure_own_party",
    "fade_credentials",
    "grant_credential",
    "invite_partner",
    "may_exchange",
    "our_parties",
    "our_party",
    "parties_of",
    "partner_by_id",
    "partners",
    "partners_with",
    "party_owner",
    "plan_partner",
    "register_party",
    "save_endpoints",
    "set_partner_state",
    "token_out",
    "use_credential",
]
