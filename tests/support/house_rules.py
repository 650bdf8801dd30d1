"""The rules of the house about imports, doors, purity and tasks: functions from a module to its breaches.

What is about docstrings, names and sizes stands in ``house_manners.py``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from tests.support.source import Breach, Module

Rule = Callable[[Module], Iterator[Breach]]

LAYERS = (
    ("errors", "values", "visible"),
    ("tasks", "metrics", "tracing"),
    ("identity",),
    ("wire",),
    ("config",),  # settings are endpoints, names and addresses, and nothing on the wire can be set
    ("net",),
    ("dht", "tunnel", "traversal", "letters"),
    ("gossip", "trust", "names"),
    ("services",),
    ("node",),
    ("daemon",),
    ("ui", "client"),  # both speak what the daemon declares: its server and deeds; its paths, envelopes and shapes
    ("",),  # the package itself: what it exports
    ("cli",),
    ("__main__",),
)
"""Left to right: a room imports from layers before its own, and from itself."""

SINGLE_DOORS = {
    "aioquic": ("pilotdht/tunnel/quic/",),
    "kademlia": (
        "pilotdht/dht/routing.py",
        "simulations/baseline/",
    ),  # the latter runs the stock server to compare with
    "rpcudp": ("simulations/baseline/",),
    "miniupnpc": ("pilotdht/net/upnp.py",),
    "opentelemetry": ("pilotdht/tracing/opentelemetry.py",),
    "zeroconf": ("pilotdht/net/mdns.py",),
    "ifaddr": ("pilotdht/net/mdns.py",),
}
"""Libraries that one place alone may import."""

OUTER_ROOMS = ("daemon", "ui", "client", "cli", "__main__")
"""Rooms that may use the machine: all others live behind the doors."""

WRITERS = (
    "pilotdht/trust/book.py",
    "pilotdht/trust/database.py",
    "pilotdht/identity/keyfile.py",
    "pilotdht/node/state.py",
    "pilotdht/net/tls.py",  # a key made for one run, which the library takes from a file alone
    "pilotdht/daemon/",
)
"""Who may write files."""

PURE = (
    "pilotdht/identity/address.py",
    "pilotdht/identity/ids.py",
    "pilotdht/wire/contact.py",
    "pilotdht/dht/cache.py",
    "pilotdht/dht/lookup.py",
    "pilotdht/dht/routing.py",
    "pilotdht/dht/store.py",
    "pilotdht/net/limits.py",
    "pilotdht/net/observed.py",
    "pilotdht/net/reachability.py",
    "pilotdht/net/rtt.py",
    "pilotdht/net/tokens.py",
    "pilotdht/tunnel/header.py",
    "pilotdht/tunnel/link_state.py",
    "pilotdht/tunnel/peers.py",
    "pilotdht/tunnel/receive_buffer.py",
)
"""Rule modules. A module whose docstring has the sentence "Pure." (or begins one with "Pure:") is one as well."""

_SAYS_PURE = re.compile(r"\bPure[.:;]")
_IMPURE_MODULES = {
    "asyncio", "logging", "os", "pathlib", "secrets", "shutil", "socket", "sqlite3", "subprocess", "tempfile",
    "threading", "time",
}  # fmt: skip
_IMPURE_BUILTINS = {"breakpoint", "input", "open", "print"}
_CLOCKS = re.compile(r"time\.\w+|datetime\.(datetime|date)\.(now|utcnow|today)")
_ENTROPY = re.compile(
    r"os\.(urandom|getrandom)|secrets(\.\w+)?|random\.([a-z]\w*|SystemRandom)|uuid\.uuid[14]"
    r"|cryptography\..*\.(\w+PrivateKey\.generate|\w+\.generate_key|generate_private_key)"
)
_FILE_CALLS = re.compile(
    r"os\.(open|fdopen|rename|replace|remove|unlink|link|symlink|mkdir|makedirs|rmdir|removedirs|truncate|chmod|mkfifo)"
    r"|shutil\.\w+|tempfile\.\w+|sqlite3\.connect|logging\.FileHandler|logging\.handlers\.\w*FileHandler"
)
_PATH_METHODS = {"write_text", "write_bytes", "mkdir", "unlink", "rmdir", "symlink_to", "hardlink_to", "chmod"}
_OPEN_MODE = re.compile(r"[rwaxbt+]{1,4}")
_SOCKET_CALLS = re.compile(
    r"socket\.(socket|socketpair|create_connection|create_server|fromfd)"
    r"|asyncio\.(open_connection|start_server|open_unix_connection|start_unix_server)"
)
_LOOP_SOCKET_METHODS = {
    "create_connection", "create_datagram_endpoint", "create_server", "create_unix_connection", "create_unix_server",
    "sock_connect",
}  # fmt: skip
_SOCKET_OPENERS = ("pilotdht/net/socket.py", "pilotdht/net/socket_transport.py", "pilotdht/net/streams.py")


def imports_point_left(module: Module) -> Iterator[Breach]:
    """A room of pilotdht imports only from layers before its own, and from itself."""
    if module.package != "pilotdht":
        return
    own = _layer("__main__" if module.name.endswith(".__main__") else module.room)  # what starts a process joins all
    if own is None:
        yield Breach(module.path, 1, f"room {module.room!r} has no place among the layers")
        return
    for line, name in module.imports():
        if name.split(".", 1)[0] in ("simulations", "tests", "scripts"):
            yield Breach(module.path, line, f"the product does not import {name}")
        room = _room_of(name)
        if room is None or room == module.room:
            continue
        layer = _layer(room)
        if layer is None or layer >= own:
            yield Breach(module.path, line, f"imports point left: {module.room or 'pilotdht'} may not import {name}")


def libraries_have_one_door(module: Module) -> Iterator[Breach]:
    """The library behind a door is imported there alone; tests and benchmarks may look behind it."""
    if module.package not in ("pilotdht", "simulations"):
        return
    for line, name in module.imports():
        door = SINGLE_DOORS.get(name.split(".", 1)[0])
        if door is not None and not module.path.startswith(door):
            yield Breach(module.path, line, f"only {' and '.join(door)} imports {name.split('.', 1)[0]}")


def simulations_stay_below_the_daemon(module: Module) -> Iterator[Breach]:
    """Simulations import the node and what is below it."""
    if module.package != "simulations":
        return
    for line, name in module.imports():
        if _room_of(name) in OUTER_ROOMS:
            yield Breach(module.path, line, f"simulations import node and below, not {name}")


def files_are_written_by_few(module: Module) -> Iterator[Breach]:
    """Files are written by the trust book, the key file, the node's state and the daemon."""
    if module.package != "pilotdht" or module.path.startswith(WRITERS):
        return
    for node in module.nodes:
        if isinstance(node, ast.Call):
            what = _written_by(module, node)
            if what:
                yield Breach(module.path, node.lineno, f"{what} writes files; only {', '.join(WRITERS)} may")


def pure_modules_are_pure(module: Module) -> Iterator[Breach]:
    """A rule module reads no clock, socket, file, entropy, environment, and tells nobody anything."""
    if not is_pure(module):
        return
    for line, name in module.imports():
        if name.split(".", 1)[0] in _IMPURE_MODULES:
            yield Breach(module.path, line, f"a pure module does not import {name}")
    for reference, name in module.references():
        if re.fullmatch(_CLOCKS, name) or re.fullmatch(_ENTROPY, name):
            yield Breach(module.path, reference.lineno, f"a pure module does not use {name}")
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in _IMPURE_BUILTINS:
            yield Breach(module.path, node.lineno, f"a pure module does not call {node.func.id}()")
        if module.dotted(node.func) == "random.Random" and not node.args:
            yield Breach(module.path, node.lineno, "random.Random() without a seed reads the system's entropy")


def tasks_have_owners(module: Module) -> Iterator[Breach]:
    """Tasks are started by ``tasks.py``, or in a ``TaskGroup`` that is opened around the call."""
    if module.package not in ("pilotdht", "simulations") or module.path == "pilotdht/tasks.py":
        return
    for node in module.nodes:
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else module.dotted(node.func)
            called = called.rsplit(".", 1)[-1]
            if called in ("ensure_future", "run_coroutine_threadsafe") or module.dotted(node.func) == "asyncio.Task":
                yield Breach(module.path, node.lineno, f"{called}() starts a task without an owner")
            elif called == "create_task" and not _is_in_task_group(module, node):
                yield Breach(module.path, node.lineno, "create_task() outside a TaskGroup; use a TaskScope")


def time_and_entropy_come_through_the_doors(module: Module) -> Iterator[Breach]:
    """Below the daemon nothing reads a clock but the loop's, nor entropy but what the doors hand in."""
    if not _is_behind_the_doors(module) or module.path == "pilotdht/net/doors.py":
        return
    for node, name in module.references():
        if re.fullmatch(_CLOCKS, name) or re.fullmatch(_ENTROPY, name):
            functions = [above for above in module.ancestors(node) if isinstance(above, ast.FunctionDef)]
            if module.path == "pilotdht/identity/keys.py" and functions and functions[0].name == "generate":
                continue
            yield Breach(module.path, node.lineno, f"{name} is not used below the daemon; it comes through Doors")


def sockets_are_opened_at_one_place(module: Module) -> Iterator[Breach]:
    """Below the daemon the network is the injected one, which ``net/socket.py`` opens."""
    if not _is_behind_the_doors(module) or module.path.startswith(_SOCKET_OPENERS):
        return
    for node in module.nodes:
        if isinstance(node, ast.Call):
            name = module.dotted(node.func)
            method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if re.fullmatch(_SOCKET_CALLS, name) or method in _LOOP_SOCKET_METHODS:
                yield Breach(module.path, node.lineno, f"{name or method}() opens a socket; only net/socket.py does")


def environment_is_read_at_the_edge(module: Module) -> Iterator[Breach]:
    """Nothing reads the environment but the daemon and the command line."""
    if module.package not in ("pilotdht", "simulations") or module.room in ("daemon", "cli", "__main__"):
        return
    for reference, name in module.references():
        if re.match(r"os\.(environb?|getenvb?|putenv|unsetenv)\b", name):
            yield Breach(module.path, reference.lineno, f"{name} is read by daemon and cli only")


def untrusted_parsers_raise_bad_message(module: Module) -> Iterator[Breach]:
    """A function that parses bytes from the network raises ``BadMessage`` and nothing else."""
    if module.package != "pilotdht":
        return
    allowed = {"BadMessage", "NotImplementedError"}  # the latter in what a base class leaves to its children
    for node in module.nodes:
        if isinstance(node, ast.Raise) and node.exc is not None:
            functions = [
                above for above in module.ancestors(node) if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef)
            ]
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = raised.attr if isinstance(raised, ast.Attribute) else getattr(raised, "id", "")
            if functions and functions[0].name.endswith("_untrusted") and name not in allowed:
                yield Breach(module.path, node.lineno, f"{functions[0].name} raises {name}, not BadMessage")


def is_pure(module: Module) -> bool:
    """Return whether the module is on the list of rule modules or says of itself that it is pure."""
    return module.package == "pilotdht" and (module.path in PURE or _SAYS_PURE.search(module.docstring) is not None)


def _layer(room: str) -> int | None:
    return next((index for index, rooms in enumerate(LAYERS) if room in rooms), None)


def _room_of(name: str) -> str | None:
    """Return the room that a dotted import name belongs to; ``None`` for what is not ours or is a plain fact."""
    package, _, rest = name.partition(".")
    if package != "pilotdht" or rest == "__version__":
        return None
    room = rest.split(".", 1)[0]
    return room if _layer(room) is not None or "." in rest else ""


def _is_behind_the_doors(module: Module) -> bool:
    return module.package == "pilotdht" and module.room not in OUTER_ROOMS


def _written_by(module: Module, call: ast.Call) -> str:
    """Return what it is in a call that writes files; empty when nothing does."""
    name = module.dotted(call.func)
    if re.fullmatch(_FILE_CALLS, name):
        return f"{name}()"
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method in _PATH_METHODS:
        return f".{method}()"
    if name in ("open", "io.open"):
        mode = _argument(call, 1, "mode")
    elif method == "open":
        mode = _argument(call, 0, "mode")
        if not (isinstance(mode, ast.Constant) and isinstance(mode.value, str) and _OPEN_MODE.fullmatch(mode.value)):
            return ""  # some other thing that opens
    else:
        return ""
    if mode is None or (isinstance(mode, ast.Constant) and not set(str(mode.value)) & set("wax+")):
        return ""
    return "open() for writing"


def _argument(call: ast.Call, index: int, name: str) -> ast.expr | None:
    if len(call.args) > index:
        return call.args[index]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _is_in_task_group(module: Module, call: ast.Call) -> bool:
    """Return whether a call of ``create_task`` stands inside the ``async with`` of the TaskGroup that it uses."""
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    if not isinstance(owner, ast.Name):
        return False
    for above in module.ancestors(call):
        if isinstance(above, ast.AsyncWith):
            for item in above.items:
                is_group = isinstance(item.context_expr, ast.Call) and (
                    module.dotted(item.context_expr.func) == "asyncio.TaskGroup"
                )
                if is_group and isinstance(item.optional_vars, ast.Name) and item.optional_vars.id == owner.id:
                    return True
        elif isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [*above.args.posonlyargs, *above.args.args, *above.args.kwonlyargs]
            for argument in arguments:
                if argument.arg == owner.id and argument.annotation is not None:
                    return module.dotted(argument.annotation) == "asyncio.TaskGroup"
    return False


RULES: tuple[Rule, ...] = (
    imports_point_left,
    libraries_have_one_door,
    simulations_stay_below_the_daemon,
    files_are_written_by_few,
    pure_modules_are_pure,
    tasks_have_owners,
    time_and_entropy_come_through_the_doors,
    sockets_are_opened_at_one_place,
    environment_is_read_at_the_edge,
    untrusted_parsers_raise_bad_message,
)
"""All of the above."""
