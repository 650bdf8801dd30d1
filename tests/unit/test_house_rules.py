"""The rules of the house hold, and each of them can fail."""

from __future__ import annotations

from functools import cache

import pytest

from tests.support.house_manners import (
    MANNERS,
    MAX_LINES,
    folders_are_known,
    metrics_are_named_alike,
    modules_are_short,
    names_say_something,
    public_things_have_docstrings,
    texts_name_no_machine,
)
from tests.support.house_rules import (
    PURE,
    RULES,
    Rule,
    environment_is_read_at_the_edge,
    files_are_written_by_few,
    imports_point_left,
    libraries_have_one_door,
    pure_modules_are_pure,
    simulations_stay_below_the_daemon,
    sockets_are_opened_at_one_place,
    tasks_have_owners,
    time_and_entropy_come_through_the_doors,
    untrusted_parsers_raise_bad_message,
)
from tests.support.source import ROOT, Breach, Module, project_files, project_modules

ALL_RULES = RULES + MANNERS

# rule, path, source, lines that break the rule
EXAMPLES: list[tuple[Rule, str, str, list[int]]] = [
    (imports_point_left, "pilotdht/dht/a.py", "from pilotdht.tunnel.link import Link", [1]),
    (imports_point_left, "pilotdht/wire/a.py", "import x\ndef f():\n    import pilotdht.net.rpc", [3]),
    (imports_point_left, "pilotdht/identity/a.py", "from pilotdht import wire", [1]),
    (imports_point_left, "pilotdht/node/a.py", "from pilotdht import Node", [1]),
    (imports_point_left, "pilotdht/net/a.py", "from ..dht import store", [1]),
    (imports_point_left, "pilotdht/net/a.py", "from . import rpc\nfrom pilotdht.wire import codec", []),
    (imports_point_left, "pilotdht/daemon/a.py", "from pilotdht import __version__\nimport pilotdht.node.node", []),
    (imports_point_left, "pilotdht/cli/a.py", "import simulations.clock", [1]),
    (imports_point_left, "pilotdht/daemon/a.py", "from pilotdht.ui import server", [1]),
    (imports_point_left, "pilotdht/daemon/__main__.py", "from pilotdht.ui import server", []),
    (imports_point_left, "pilotdht/attic/a.py", "", [1]),
    (libraries_have_one_door, "pilotdht/tunnel/link.py", "from aioquic.quic.connection import QuicConnection", [1]),
    (libraries_have_one_door, "pilotdht/tunnel/quic/a.py", "import aioquic.tls", []),
    (libraries_have_one_door, "pilotdht/dht/store.py", "import kademlia.routing", [1]),
    (libraries_have_one_door, "pilotdht/dht/routing.py", "import kademlia.routing", []),
    (libraries_have_one_door, "simulations/baseline/a.py", "import kademlia.network\nimport rpcudp.protocol", []),
    (libraries_have_one_door, "simulations/world/a.py", "import kademlia.network\nimport rpcudp.protocol", [1, 2]),
    (libraries_have_one_door, "tests/unit/test_a.py", "import kademlia", []),
    (simulations_stay_below_the_daemon, "simulations/a.py", "from pilotdht.daemon import service", [1]),
    (simulations_stay_below_the_daemon, "simulations/a.py", "from pilotdht import cli, client", [1, 1]),
    (simulations_stay_below_the_daemon, "simulations/a.py", "from pilotdht.node.node import Node", []),
    (files_are_written_by_few, "pilotdht/dht/a.py", "open(p, 'w')\nopen(p, mode='rb+')\nopen(p, m)", [1, 2, 3]),
    (files_are_written_by_few, "pilotdht/dht/a.py", "open(p)\nopen(p, 'rb')\np.open('r')\nnet.open(a, b)", []),
    (files_are_written_by_few, "pilotdht/cli/a.py", "p.open('ab')\np.write_text('')\np.mkdir()", [1, 2, 3]),
    (
        files_are_written_by_few,
        "pilotdht/dht/a.py",
        "import os as o, sqlite3\no.open(p, 1)\nsqlite3.connect(p)",
        [2, 3],
    ),
    (files_are_written_by_few, "pilotdht/trust/book.py", "import sqlite3\nsqlite3.connect(p)", []),
    (files_are_written_by_few, "pilotdht/cli/a.py", "'a'.replace('a', 'b')\nclick.echo('x', file=f)", []),
    (
        pure_modules_are_pure,
        "pilotdht/dht/a.py",
        '"""A. Pure."""\nimport time\nfrom os import path\nprint(1)',
        [2, 3, 4],
    ),
    (pure_modules_are_pure, "pilotdht/dht/a.py", '"""Pure: a."""\nimport random\nrandom.choice(x)', [3]),
    (pure_modules_are_pure, "pilotdht/dht/a.py", '"""Pure; a."""\nimport random\nrandom.Random()', [3]),
    (pure_modules_are_pure, "pilotdht/dht/a.py", '"""Pure: a."""\nfrom datetime import datetime as d\nd.now()', [3]),
    (
        pure_modules_are_pure,
        "pilotdht/dht/a.py",
        '"""A. Pure."""\nimport random\nr = random.Random(1)\nr.choice(x)',
        [],
    ),
    (pure_modules_are_pure, "pilotdht/dht/a.py", '"""Purely shell."""\nimport time', []),
    (pure_modules_are_pure, PURE[0], "import socket", [1]),
    (tasks_have_owners, "pilotdht/dht/a.py", "import asyncio\nasyncio.create_task(f())", [2]),
    (
        tasks_have_owners,
        "pilotdht/dht/a.py",
        "loop.create_task(f())\nfrom asyncio import ensure_future as e\ne(f())",
        [1, 3],
    ),
    (
        tasks_have_owners,
        "pilotdht/dht/a.py",
        "import asyncio\nasync def f():\n async with asyncio.TaskGroup() as g:\n  g.create_task(h)\n g.create_task(h)",
        [5],
    ),
    (
        tasks_have_owners,
        "pilotdht/dht/a.py",
        "import asyncio\nasync def f(g: asyncio.TaskGroup, h: int):\n  g.create_task(f())\n  h.create_task(f())",
        [4],
    ),
    (tasks_have_owners, "pilotdht/tasks.py", "loop.create_task(f())", []),
    (time_and_entropy_come_through_the_doors, "pilotdht/dht/a.py", "import time as t\nt.monotonic()", [2]),
    (time_and_entropy_come_through_the_doors, "pilotdht/dht/a.py", "from os import urandom\nu = urandom", [2]),
    (time_and_entropy_come_through_the_doors, "pilotdht/node/a.py", "import random\nrandom.random()", [2]),
    (time_and_entropy_come_through_the_doors, "pilotdht/node/a.py", "import random\nr: random.Random", []),
    (time_and_entropy_come_through_the_doors, "pilotdht/dht/a.py", "loop.time()\nself.random.choice(x)", []),
    (time_and_entropy_come_through_the_doors, "pilotdht/daemon/a.py", "import time\ntime.time()", []),
    (time_and_entropy_come_through_the_doors, "pilotdht/net/doors.py", "import time\ntime.time", []),
    (
        time_and_entropy_come_through_the_doors,
        "pilotdht/identity/keys.py",
        "import os\ndef generate():\n  return os.urandom(32)\ndef other():\n  return os.urandom(32)",
        [5],
    ),
    (sockets_are_opened_at_one_place, "pilotdht/net/rpc.py", "import socket\nsocket.socket()", [2]),
    (sockets_are_opened_at_one_place, "pilotdht/net/rpc.py", "await_(loop.create_datagram_endpoint(p))", [1]),
    (sockets_are_opened_at_one_place, "pilotdht/net/socket.py", "import socket\nsocket.socket()", []),
    (sockets_are_opened_at_one_place, "pilotdht/daemon/a.py", "import asyncio\nasyncio.start_unix_server(f)", []),
    (environment_is_read_at_the_edge, "pilotdht/node/a.py", "import os\nos.environ['A']\nos.getenv('A')", [2, 3]),
    (environment_is_read_at_the_edge, "pilotdht/node/a.py", "from os import environ\nenviron.get('A')", [2]),
    (environment_is_read_at_the_edge, "pilotdht/cli/a.py", "import os\nos.environ['A']", []),
    (untrusted_parsers_raise_bad_message, "pilotdht/wire/a.py", "def f_untrusted(b):\n  raise ValueError('b')", [2]),
    (untrusted_parsers_raise_bad_message, "pilotdht/wire/a.py", "def f_untrusted(b):\n  raise BadMessage('b')", []),
    (public_things_have_docstrings, "pilotdht/dht/a.py", "def f():\n  pass\ndef _g():\n  pass", [1, 1]),
    (
        public_things_have_docstrings,
        "pilotdht/dht/a.py",
        '"""A."""\nclass A:\n  """A."""\n  def f(self):\n    pass',
        [4],
    ),
    (
        public_things_have_docstrings,
        "pilotdht/dht/a.py",
        '"""A."""\n@dataclass(frozen=True)\nclass A:\n  """A."""\n  b: int',
        [5],
    ),
    (
        public_things_have_docstrings,
        "pilotdht/dht/a.py",
        '"""A."""\n@dataclass\nclass A:\n  """A."""\n  b: int\n  """B."""\n  _d: int = 0\n  e: ClassVar[int] = 1',
        [],
    ),
    (
        public_things_have_docstrings,
        "pilotdht/config/a.py",
        '"""A."""\n@dataclass\nclass A(Section):\n  """A."""\n  b: int = tunable(1, reason="r")',
        [],
    ),
    (public_things_have_docstrings, "pilotdht/dht/a.py", '"""A."""\nclass A(Enum):\n  """A."""\n  B = 1', [4]),
    (names_say_something, "pilotdht/dht/utils.py", "", [1]),
    (names_say_something, "tests/helpers/a.py", "", [1]),
    (names_say_something, "pilotdht/dht/store.py", "", []),
    (modules_are_short, "pilotdht/dht/a.py", "\n" * MAX_LINES, [MAX_LINES + 1]),
    (modules_are_short, "pilotdht/dht/a.py", "\n" * (MAX_LINES - 1), []),
    (
        metrics_are_named_alike,
        "pilotdht/dht/a.py",
        "from prometheus_client import Counter\nCounter('x_total', 'X.')",
        [2],
    ),
    (
        metrics_are_named_alike,
        "pilotdht/dht/a.py",
        "import prometheus_client as p\np.Counter('pilotdht_dht_puts', 'X.')\np.Gauge('pilotdht_dht_size_bytes', '')",
        [2, 3],
    ),
    (metrics_are_named_alike, "pilotdht/dht/a.py", "from collections import Counter\nCounter('abc')", []),
]


@cache
def modules() -> tuple[Module, ...]:
    """Return the project's modules, read once."""
    return tuple(project_modules())


def report(breaches: list[Breach]) -> str:
    """Return the breaches as text, one a line."""
    return "\n".join(map(str, sorted(breaches)))


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.__name__)
def test_project_obeys_rule(rule: Rule) -> None:
    """No module of the project breaks the rule."""
    breaches = [breach for module in modules() for breach in rule(module)]
    assert not breaches, f"{rule.__doc__}\n{report(breaches)}"


@pytest.mark.parametrize(
    ("rule", "path", "source", "lines"),
    EXAMPLES,
    ids=[f"{example[0].__name__}-{number}" for number, example in enumerate(EXAMPLES)],
)
def test_rule_on_example_finds_the_lines(rule: Rule, path: str, source: str, lines: list[int]) -> None:
    """The rule finds what is wrong in a small example, and nothing else."""
    assert lines == [breach.line for breach in rule(Module(path, source + "\n"))]


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.__name__)
def test_rule_can_fail(rule: Rule) -> None:
    """Each rule has an example that breaks it."""
    assert any(lines for tested, _, _, lines in EXAMPLES if tested is rule)


def test_pure_list_names_modules_that_exist() -> None:
    """The list of rule modules has no entry for a module that is gone."""
    assert [] == sorted(set(PURE) - {module.path for module in modules()})


def test_files_name_no_machine_or_registry() -> None:
    """No file names a package registry's host or a folder of somebody's machine."""
    breaches: list[Breach] = []
    for path in project_files():
        try:
            text = (ROOT / path).read_text("utf-8")
        except UnicodeDecodeError:
            continue  # a picture or recorded bytes
        breaches += texts_name_no_machine(path, text)
    assert not breaches, report(breaches)


def test_machine_names_in_a_text_are_found() -> None:
    """The search for hosts and machine paths finds both, and leaves other paths alone."""
    text = f"see https://{'pypi'}.org/x\n/{'home'}/alice/key\n/usr/bin/env ~/code/x $HOME/root/x\n"
    assert [1, 2] == [breach.line for breach in texts_name_no_machine("a.md", text)]


def test_folders_are_those_of_the_house() -> None:
    """Each file stands at the top or in a folder that the house has."""
    breaches = list(folders_are_known(project_files()))
    assert not breaches, report(breaches)


def test_unknown_folder_is_found() -> None:
    """A folder that the house does not have is reported."""
    assert ["examples/a.py"] == [
        breach.path for breach in folders_are_known(["README.md", "docs/a.md", "examples/a.py"])
    ]
