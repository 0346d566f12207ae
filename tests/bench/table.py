"""Rows as text: a line while the bench runs, a table at its end, Markdown for the README."""

from __future__ import annotations

from itertools import groupby

from .row import Merged, Row, number


def line(row: Row) -> str:
    """One round as it was measured."""
    figures = "  ".join(f"{name} {v if isinstance(v, str) else number(v)}" for name, v in row.figures.items())
    return f"{row.scenario}: {row.case}, {row.design}: {figures}"


def plain(rows: list[Merged]) -> str:
    """A table for each scenario, columns aligned."""
    parts = []
    for scenario, lines in _tables(rows):
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        shown = [
            "  ".join(
                cell.ljust(width) if at < 2 else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            for cells in lines
        ]
        parts.append("\n".join([scenario, *("  " + text.rstrip() for text in shown)]))
    return "\n\n".join(parts)


def markdown(rows: list[Merged]) -> str:
    """The same for the README."""
    parts = []
    for scenario, (head, *lines) in _tables(rows):
        cells = [head, ["---"] * 2 + ["---:"] * (len(head) - 2), *lines]
        parts.append("\n".join([f"### {scenario}", "", *("| " + " | ".join(row) + " |" for row in cells)]))
    return "\n\n".join(parts)


def _tables(rows: list[Merged]) -> list[tuple[str, list[list[str]]]]:
    """(scenario, cells), the first row of cells being the heads."""
    tables = []
    for scenario, group in groupby(rows, key=lambda row: row.scenario):
        members = list(group)
        names = list(dict.fromkeys(name for row in members for name in row.texts))
        cells = [[row.case, row.design, *(row.texts.get(name, "") for name in names)] for row in members]
        tables.append((scenario, [["case", "design", *names], *cells]))
    return tables
