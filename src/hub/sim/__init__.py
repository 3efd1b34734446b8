"""The other side of every wire: stations, cars and partners as programs that speak from outside.

Simulators know the standards and nothing of the hub's own decoders, tables or prices, so that
what they accept is a second opinion. They share only the kernel and the clock with it.
"""

from hub.sim.car import Car
from hub.sim.partner import Driver, SimPartner
from hub.sim.plate import Charge, Faults
from hub.sim.station import SimStation

__all__ = ["Car", "Charge", "Driver", "Faults", "SimPartner", "SimStation"]
