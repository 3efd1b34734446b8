"""The stations' door: OCPP frames, links and messages, spoken over WebSocket with stations."""
