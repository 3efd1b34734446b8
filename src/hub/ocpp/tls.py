"""The TLS listener's context: TLS 1.2 or newer, client certificates asked for where a root is."""

from __future__ import annotations

import ssl

# OCPP 2.0.1 part 2, A00.FR.318 and whitepaper 2.5: the suites every station may count on.
_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:"
    "AES128-GCM-SHA256:AES256-GCM-SHA384"
)


def server_context(
    certificate: str, key: str, *, more: tuple[tuple[str, str], ...] = (), client_ca: str = ""
) -> ssl.SSLContext:
    """A context from PEM files; ``more`` are further (certificate, key) pairs (ECDSA beside RSA).

    With ``client_ca`` stations may show a certificate (profile 3); one that does not verify ends
    the handshake.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    context.set_ciphers(_SUITES)
    for one in ((certificate, key), *more):
        context.load_cert_chain(*one)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
