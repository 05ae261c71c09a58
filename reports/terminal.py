"""Tables on standard output: with rich on a terminal, as plain lines everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from cl_bench.reports.cells import Column, Row, Table, printable
from cl_bench.reports.significance import MARK
from cl_bench.reports.sparklines import BLOCKS, IN_ASCII

# What plain text says where a stream cannot spell the sign.
_ASCII = str.maketrans(
    {"–": "-", "±": "+-", "↑": "(up)", "↓": "(down)", "…": "...", "·": "-", "é": "e", "×": "x", MARK: "^"}
    | dict(zip(BLOCKS, IN_ASCII, strict=True))
)
BEST = "*"
MOST_ROWS = 40  # a longer table would push the others off the screen
BETWEEN = 3  # blanks between two columns of a rich table


def show(heading: str, tables: Sequence[Table], notes: Sequence[str], plain: bool) -> None:
    """Print heading, tables and notes. Plain: no colour, no box, no width; also when nobody watches."""
    if not plain and sys.stdout.isatty():
        _rich(heading, tables, notes)
        return
    encoding = sys.stdout.encoding or "utf-8"
    text = _plain(heading, tables, notes)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = _plain(heading, map(_in_ascii, tables), notes).translate(_ASCII)
        text = text.encode(encoding, errors="replace").decode(encoding)
    print(text)


def _plain(heading: str, tables: Iterable[Table], notes: Iterable[str]) -> str:
    parts = [printable(heading)]
    parts += [text_table(table) if len(table.rows) <= MOST_ROWS else _too_long(table) for table in tables]
    parts += [f"Note: {printable(note)}" for note in notes]
    # A typographic minus would hide the number from other programs.
    return "\n\n".join(parts).replace("−", "-")


def _too_long(table: Table) -> str:
    return f"{printable(table.title)}: {len(table.rows)} rows, left out here; see the report's files"


def text_table(table: Table) -> str:
    """`table` as lines of text, every column as wide as it needs; the best marked with "*"."""
    head = [printable(column.alone) for column in table.columns]
    body = [
        [printable(cell.text) + (BEST if cell.strong else "") for cell in row.cells] for row in table.rows
    ]
    widths = [max(map(cell_len, column)) for column in zip(head, *body, strict=True)]
    lines = [_line(head, widths, table.columns), "  ".join("-" * width for width in widths)]
    lines += [_line(row, widths, table.columns) for row in body]
    if not body:
        lines.append("(no task finished)")
    caption = table.caption.replace(" bold", f" marked {BEST}")
    return "\n".join([printable(table.title), "", *lines, "", printable(caption)])


def _line(texts: list[str], widths: list[int], columns: Iterable[Column]) -> str:
    cells = []
    for text, width, column in zip(texts, widths, columns, strict=True):
        space = " " * (width - cell_len(text))
        cells.append(space + text if column.numeric else text + space)
    return "  ".join(cells).rstrip()


def _in_ascii(table: Table) -> Table:
    """`table` with signs spelled out, before columns are measured."""
    columns = tuple(replace(column, flat=column.alone.translate(_ASCII)) for column in table.columns)
    rows = tuple(
        replace(row, cells=tuple(replace(cell, text=cell.text.translate(_ASCII)) for cell in row.cells))
        for row in table.rows
    )
    return replace(table, columns=columns, rows=rows)


def _rich(heading: str, tables: Iterable[Table], notes: Iterable[str]) -> None:
    console = Console(file=sys.stdout, highlight=False)
    console.print(Text(printable(heading), style="bold"))
    for table in tables:
        console.print()
        if len(table.rows) > MOST_ROWS:
            console.print(Text(_too_long(table)))
            continue
        for index, columns in enumerate(blocks(table, console.width)):
            title = table.title if index == 0 else f"{table.title}, continued"
            console.print(Text(printable(title), style="bold"))
            console.print(_rich_table(table, columns), no_wrap=True, crop=False)
        console.print(Text(printable(table.caption), style="dim"))
    for note in notes:
        console.print()
        console.print(Text.assemble(("Note: ", "bold yellow"), printable(note)), soft_wrap=True)


def blocks(table: Table, width: int) -> list[list[int]]:
    """Indices of columns that fit beside each other in `width`; the leading ones, up to the last that is not
    a number, head every block. A column is never cut: one that does not fit gets a block of its own."""
    sizes = [
        BETWEEN
        + max(
            cell_len(printable(text)) for text in (column.alone, *(row.cells[i].text for row in table.rows))
        )
        for i, column in enumerate(table.columns)
    ]
    leading = 1 + max((i for i, column in enumerate(table.columns) if not column.numeric), default=-1)
    head, found = list(range(leading)), [list(range(leading))]
    for i in range(leading, len(sizes)):
        block = found[-1]
        if len(block) > leading and sum(sizes[k] for k in (*block, i)) > width:
            found.append([*head])
        found[-1].append(i)
    return found


def _rich_table(table: Table, columns: list[int]) -> RichTable:
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    for i in columns:
        column = table.columns[i]
        rich.add_column(
            Text(printable(column.alone)), justify="right" if column.numeric else "left", no_wrap=True
        )
    for row in table.rows:
        rich.add_row(*(_rich_cell(row, i) for i in columns))
    return rich


def _rich_cell(row: Row, i: int) -> Text:
    cell = row.cells[i]
    return Text(printable(cell.text), style="bold green" if cell.strong else "dim" if row.muted else "")
