"""Figures in words, the Markdown table of all scenarios, and the block of a document that holds it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pilotdht.errors import InvalidArgument
from simulations.report.quantities import (
    Better,
    duration,
    is_better,
    phase_of,
    quantity_of,
    ratio_in_words,
    with_unit,
)
from simulations.report.table import (
    BEGIN,
    END,
    GROUPS_BEGIN,
    GROUPS_END,
    comparison_table,
    group_table,
    replace_block,
    update_document,
)
from simulations.results.result import Check, Result
from tests.support.sim_results import made_result


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (None, "s", "\N{EN DASH}"),
        (float("nan"), "s", "\N{EN DASH}"),
        (1.0, "share", "100 %"),
        (0.99996, "share", "99.996 %"),
        (0.9999999, "share", "99.999 %"),
        (0.987, "share", "98.7 %"),
        (0.0, "share", "0 %"),
        (0.0004, "share", "0.040 %"),
        (0.0123, "s", "12.3 ms"),
        (0.00002, "s", "20 µs"),
        (90.0, "s", "90 s"),
        (1800.0, "s", "30 min"),
        (410.0, "bytes/s", "410 B/s"),
        (2_500_000.0, "bytes/s", "2.5 MB/s"),
        (2.13, "1/s", "2.13/s"),
        (12345.0, "", "12,345"),
    ],
)
def test_value_has_its_unit_and_few_digits(value: float | None, unit: str, expected: str) -> None:
    """Numbers are short, and rounding never makes a loss invisible."""
    assert expected == with_unit(value, unit)


def test_duration_of_days_is_in_days() -> None:
    """Long runs are told in days."""
    assert "7 d" == duration(7 * 86400.0)


@pytest.mark.parametrize(
    ("name", "words", "unit", "better"),
    [
        ("lookup_success", "lookups that found", "share", Better.HIGHER),
        ("healed_publish_p95_s", "healed: write, 95th percentile", "s", Better.LOWER),
        ("cut_dead_contacts", "cut: dead contacts", "share", Better.LOWER),
        ("bytes_per_node_s", "bytes sent a node", "bytes/s", Better.LOWER),
        ("heal_s", "heal", "s", Better.LOWER),
        ("records_available", "records available", "share", Better.HIGHER),
        ("killed", "killed", "", Better.NEITHER),
    ],
)
def test_names_of_figures_tell_unit_and_direction(name: str, words: str, unit: str, better: Better) -> None:
    """Known names have words of their own, a prefix is a phase, and others follow the rules of naming."""
    quantity = quantity_of(name)

    assert (words, unit, better) == (quantity.words, quantity.unit, quantity.better)


def test_phase_is_what_stands_before_a_known_name() -> None:
    """The longest known name counts: dead contacts are not contacts of a phase called dead."""
    assert ("warm_up", "dead_contacts") == phase_of("warm_up_dead_contacts")
    assert ("", "dead_contacts") == phase_of("dead_contacts")
    assert ("", "heal_s") == phase_of("heal_s")


def test_ratio_is_in_words_of_the_unit() -> None:
    """Times compare by factors, shares by points, and what is absent does not compare."""
    time, share = quantity_of("lookup_p95_s"), quantity_of("lookup_success")

    assert "4 times less" == ratio_in_words(0.5, 2.0, time)
    assert "4 times more" == ratio_in_words(2.0, 0.5, time)
    assert "+4.5 points" == ratio_in_words(0.995, 0.95, share)
    assert "equal" == ratio_in_words(1.0, 1.0, share)
    assert "\N{EN DASH}" == ratio_in_words(None, 1.0, time) == ratio_in_words(1.0, 0.0, time)
    assert (True, False, None) == (is_better(1, 2, time), is_better(1, 2, share), is_better(None, 2, share))


def test_table_puts_ours_beside_the_baseline() -> None:
    """A row a figure, the scenario's name once, bounds and whether ours kept them."""
    results = [
        made_result(implementation=name, seed=seed, lookups=200) for name in ("pilotdht", "kademlia") for seed in (1, 2)
    ]
    for run in results:
        run.figures["lookup_success"] = 0.99 if run.implementation == "pilotdht" else 0.9

    rows = comparison_table(results).splitlines()

    assert "| scenario | nodes | figure | pilotdht | kademlia | pilotdht is | bound | kept |" == rows[0]
    assert "| partition | 300 | lookups that found | 99 % | 90 % | +9.0 points | ≥ 90 % | yes |" == rows[2]
    assert 1 == sum("partition" in row for row in rows)
    assert any("bytes sent a node | 410 B/s | 706 B/s | 1.72 times less" in row for row in rows)


def test_table_tells_broken_bounds_and_unfinished_runs() -> None:
    """Nothing that failed looks as if it had not."""
    result = made_result(lookups=50, is_complete=False)
    result.checks = [dataclasses.replace(check, is_kept=False) for check in result.checks]

    table = comparison_table([result])

    assert "partition (unfinished)" in table
    assert "| no |" in table
    assert "| yes |" not in table


def test_cells_cannot_be_broken_out_of() -> None:
    """Names from files cannot add cells, rows or markup."""
    table = comparison_table([made_result(scenario="a|b\n<i>`x`[y](z)", lookups=50)])

    assert "a\\|b &lt;i>\\`x\\`\\[y](z)" in table
    assert all(line.startswith(("| ", "|---")) for line in table.splitlines())


def test_block_is_replaced_and_all_else_stays() -> None:
    """Text before and after the marks is untouched, and replacing twice changes nothing more."""
    text = f"# Title\n\n{BEGIN}\nold\n{END}\n\nafter\n"

    once = replace_block(text, "| a |\n")

    assert f"# Title\n\n{BEGIN}\n\n| a |\n\n{END}\n\nafter\n" == once
    assert once == replace_block(once, "| a |\n")


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"])
def test_document_without_one_place_is_refused(text: str) -> None:
    """Marks that are missing, double or in the wrong order are told."""
    with pytest.raises(InvalidArgument) as caught:
        replace_block(text, "| a |")

    assert BEGIN in caught.value.hint


def group_result(**figures: float) -> Result:
    """Return a run of a scenario that has no baseline."""
    result = made_result(scenario="group-detection", nodes=40, lookups=10)
    result.figures = {"notice_all_s": 9.0, "notice_all_formula_s": 10.0, "notice_all_ratio": 0.9, **figures}
    result.checks = [Check(figure="notice_all_ratio", relation="<=", bound=1.1, value=0.9, is_kept=True)]
    return result


def test_group_table_tells_what_a_ratio_is_of() -> None:
    """A row a bound; before a ratio stand what was measured and what theory says. There is no baseline's column."""
    lines = group_table([group_result()]).splitlines()

    assert lines[0] == "| scenario | members | figure | value | bound | kept |"
    assert lines[2:] == [
        "| group-detection | 40 | crash noticed by all | 9 s |  |  |",
        "|  |  | crash noticed by all, by the formula | 10 s |  |  |",
        "|  |  | crash noticed by all, measured over the formula | 0.9 | ≤ 1.1 | yes |",
    ]


def test_document_keeps_the_block_that_no_result_belongs_to(tmp_path: Path) -> None:
    """Scenarios about groups have a block of their own; each is replaced only by results of its kind."""
    path = tmp_path / "page.md"
    empty = f"# Page\n\n{BEGIN}\nold\n{END}\n\n{GROUPS_BEGIN}\nold\n{GROUPS_END}\n"
    path.write_text(empty, encoding="utf-8")

    update_document(path, [group_result()])
    text = path.read_text(encoding="utf-8")
    assert f"{BEGIN}\nold\n{END}" in text
    assert "crash noticed by all" in text

    update_document(path, [made_result(lookups=10)])
    text = path.read_text(encoding="utf-8")
    assert "lookups that found" in text
    assert "crash noticed by all" in text


def test_document_without_a_place_for_groups_is_refused(tmp_path: Path) -> None:
    """The hint says what to put where."""
    path = tmp_path / "page.md"
    path.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")

    with pytest.raises(InvalidArgument) as refused:
        update_document(path, [group_result()])
    assert GROUPS_BEGIN in refused.value.hint
