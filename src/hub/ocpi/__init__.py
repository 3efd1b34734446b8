"""The OCPI door: server, client and pushes; versions are dialects of one set of handlers."""
