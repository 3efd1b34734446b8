"""Our own REST door: stations and commands, sessions, CDRs, tokens, tariffs, partners, books.

Decodes, checks scopes, calls one action, answers. Business rules live in the rooms below; the
console builds on the access rules and read models here.
"""
