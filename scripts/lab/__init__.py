"""A NAT laboratory of network namespaces: hosts behind NATs of every kind, public servers, and slow, lossy lines.

>>> with Lab(left="symmetric", right="portrestricted", delay_ms=10) as lab:
...     lab.run("a", ["ping", "-c", "1", lab.servers[0].host])

Everything is inside the kernel of this machine: no namespace has a link or a route to the outside.
"""

from scripts.lab.kinds import KINDS, Kind
from scripts.lab.laboratory import NEIGHBOUR, SAME, Lab
from scripts.lab.namespaces import LabError, LabMissing

__all__ = ["KINDS", "NEIGHBOUR", "SAME", "Kind", "Lab", "LabError", "LabMissing"]
