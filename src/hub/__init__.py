"""Roaming and payments hub for EV charging: OCPP stations, OCPI partners, settled money.

The rooms of this package and who may import whom are described in
``docs/explanation/architecture.md``; ``pyproject.toml`` enforces it.
"""

__version__ = "0.1.0"
