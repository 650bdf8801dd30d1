"""``report``: plots and pages from results that are there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from simulations.command.folders import results_in, writable
from simulations.command.program import DONE, Verb, output
from simulations.command.settings_table import show_settings


@click.command(
    "report",
    cls=Verb,
    examples=[
        "report results",
        "report results/one.json results/other.json --out comparison",
        "report results --docs docs/simulations.md",
    ],
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="DIR|FILE...")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the page; the first path's folder without it.",
)
@click.option("--figure", "figures", metavar="NAME", multiple=True, help="Figure in the summary table; repeatable.")
@click.option(
    "--docs",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Document whose block between the marks of the simulations is replaced by the table.",
)
@click.pass_context
def report(
    context: click.Context, paths: Sequence[Path], out: Path | None, figures: Sequence[str], docs: Path | None
) -> int:
    """Make plots and a page from results: of files, and of folders and what is below them."""
    from simulations.report.table import update_document
    from simulations.report.write import write_report

    printer = output(context)
    folder = writable(out or (paths[0] if paths[0].is_dir() else paths[0].parent))
    results = [result for _, result in results_in(paths)]
    if docs is not None:
        update_document(docs, results)
        printer.note(f"replaced the table in {docs}")
    printer.note(f"drawing {len(results)} result{'s' if len(results) > 1 else ''}")
    files = write_report(results, folder)
    if printer.is_json:
        printer.json({"results": len(results), "files": [str(file) for file in files]})
    else:
        show_settings(printer, results, figures)
        for file in files:
            if file.suffix == ".html":
                printer.line(str(file))
    return DONE
