"""A simulated cluster: hundreds of nodes in one process, the real core and the real sessions, virtual time and network.

    run         one seed, many seeds, the shortest history that fails
    options     every probability, time and size
    world       what there is: nodes, ways between them, accidents, checkers
    node        regions, noded's tables, proxies, processes of one node
    process     one call at a time; program: what they call
    network     ways, streams and datagrams over them
    accidents   what goes wrong
    history     calls and messages as facts; checks/ judge them
    trace       what happened, a line each

What is real: the transitions of the core and its proxies' halves (anonymous regions, stepped), the pump, membership
and links
of the standard proxies, sessions and connections, noded's tables of peers, routes and names. What is not: sleeping,
sockets,
time, and the programs. One seed is one history; nothing but it decides what happens.
"""

from drvs.sim.options import Options
from drvs.sim.run import Result, run, run_many, shrink
from drvs.sim.trace import LEGEND
from drvs.sim.violation import Violation

__all__ = ["LEGEND", "Options", "Result", "Violation", "run", "run_many", "shrink"]
