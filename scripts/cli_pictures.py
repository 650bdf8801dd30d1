"""Pictures of the command line's tables: real verbs in a pseudo-terminal, against a real mesh.

Run by ``scripts/screenshots cli [FOLDER] [PICTURE…]``. What a verb writes to a terminal of 100 columns, colours
included, becomes an SVG that names no font of a foreign host. Nothing in it is retouched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from scripts.picture_mesh import OWN, Agent, mesh, talk

COLUMNS = 100
LINES = 60
MAX_PICTURE_BYTES = 60_000
WARM_UP_S = 20.0
"""How long the agents talk before the first picture: a table of nothing shows nothing."""
VERB_TIMEOUT_S = 30.0

PICTURES: dict[str, tuple[str, ...]] = {
    "help": ("--help",),
    "status": ("status",),
    "peers": ("peers",),
    "connections": ("connections",),
    "find": ("find", "--tag", "mcp"),
    "find-one": ("find", "translator"),
    "ping": ("ping", "translator", "--count", "4", "--interval", "200ms"),
    "traceroute": ("traceroute", "weather"),
    "netcheck": ("netcheck",),
    "group-members": ("group", "members", "research"),
    "query": ("query", "--group", "research", "--can", "citations", "--explain"),
    "trust": ("trust",),
    "pending": ("pending",),
    "dht-stats": ("dht", "stats"),
    "config": ("config", "show", "trust", "--origin"),
}
"""The words of each picture."""

_THEME = TerminalTheme(
    (22, 27, 34),
    (220, 226, 232),
    [
        *((72, 79, 88), (255, 123, 114), (86, 211, 100), (227, 179, 65)),
        *((121, 192, 255), (210, 168, 255), (86, 212, 221), (201, 209, 217)),
    ],
    [
        *((139, 148, 158), (255, 161, 152), (126, 231, 135), (242, 204, 96)),
        *((165, 214, 255), (226, 197, 255), (179, 240, 255), (255, 255, 255)),
    ],
)

_FORMAT = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""A frame as rich fills it in; its own one fetches fonts from elsewhere."""


def written(agent: Agent, words: tuple[str, ...], columns: int) -> str:
    """Return what a command writes to a terminal of that width, with its escape sequences."""
    terminal, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PILOTDHT_")}
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        kept.pop(name, None)
    kept |= {"PILOTDHT_HOME": str(agent.home), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    command = [sys.executable, "-m", "pilotdht", *words]
    process = subprocess.Popen(command, env=kept, stdin=inner, stdout=inner, stderr=inner, start_new_session=True)
    os.close(inner)
    watchdog = threading.Timer(VERB_TIMEOUT_S, process.kill)
    watchdog.start()
    data = b""
    try:
        with contextlib.suppress(OSError):  # how Linux tells that nobody has the terminal open any more
            while piece := os.read(terminal, 65536):
                data += piece
    finally:
        code = process.wait()
        watchdog.cancel()
        os.close(terminal)
    text = data.decode().replace("\r\n", "\n")
    if code:
        raise SystemExit(f"pilotdht {' '.join(words)}: {text}")
    return text


def picture(words: tuple[str, ...], text: str, *, name: str, columns: int) -> str:
    """Return an SVG of a prompt, a command and what it wrote."""
    shown = " ".join(f"'{word}'" if re.search(r"[^\w./-]", word) else word for word in words)
    lines = [line.rstrip() for line in text.strip("\n").split("\n")]
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=columns, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.assemble(("$ ", "bright_black"), (f"pilotdht {shown}", "bold")), soft_wrap=True)
        for line in lines:
            content = Text.from_ansi(line)
            for start in range(0, max(1, len(content)), columns):  # a terminal breaks lines where they reach its edge
                console.print(content[start : start + columns])
        console.print()  # room below the last line, for what hangs under its letters
        # The frame's row of buttons is that of one system, and says nothing: a plain rectangle is left of it.
        svg = console.export_svg(title="", theme=_THEME, code_format=_FORMAT, unique_id=f"cli-{name}")
    return re.sub(r'<g transform="translate\(26,22\)">.*?</g>', "", svg, flags=re.DOTALL)


def main(arguments: list[str]) -> None:
    """Take the pictures."""
    folder = Path(arguments[0] if arguments else "docs/images").resolve()
    wanted = arguments[1:] or list(PICTURES)
    folder.mkdir(parents=True, exist_ok=True)
    ending = threading.Event()
    with tempfile.TemporaryDirectory(prefix="agents-") as home, mesh(Path(home)) as agents:
        talking = threading.Thread(target=talk, args=(agents, ending))
        talking.start()
        try:
            time.sleep(WARM_UP_S)
            for name in wanted:
                words = PICTURES[name]
                svg = picture(words, written(agents[OWN], words, COLUMNS), name=name, columns=COLUMNS)
                size = len(svg.encode())
                if size > MAX_PICTURE_BYTES:
                    raise SystemExit(f"{name} has {size} bytes; {MAX_PICTURE_BYTES} are the limit")
                (folder / f"cli-{name}.svg").write_text(svg, "utf-8")
                print(f"cli-{name}.svg: {size} bytes")
        finally:
            ending.set()
            talking.join()


if __name__ == "__main__":
    main(sys.argv[1:])
