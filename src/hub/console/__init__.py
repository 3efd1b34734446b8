"""Web pages for operators: server-rendered, live by server-sent events, no third-party script.

Reads what the API reads and calls the same actions; no rule of the business lives here.
"""
