"""The tables as files for other programs: CSV, Markdown, LaTeX, JSON; and the captions of the figures."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from cl_bench.reports.cells import Cell, Table, printable

if TYPE_CHECKING:
    from cl_bench.reports.content import Content


def csv(frame: pd.DataFrame) -> str:
    """`frame` with full precision: reading it back gives the same numbers. Empty: no value."""
    return frame.to_csv(index=False, lineterminator="\n")


def markdown(
    heading: str,
    tables: Iterable[Table],
    notes: Iterable[str],
    definitions: Iterable[str],
    facts: Iterable[tuple[str, str]] = (),
) -> str:
    """One document: heading, facts, tables (GitHub's dialect), notes, definitions of the metrics."""
    parts = [f"# {_markdown(heading)}"]
    parts += [f"**{_markdown(name)}.** {_markdown(text)}" for name, text in facts]
    for table in tables:
        parts += [f"## {_markdown(table.title)}", markdown_table(table), _markdown(table.caption)]
    parts += [f"**Note.** {_markdown(note)}" for note in notes]
    listed = [f"- {_markdown(text)}" for text in definitions]
    if listed:
        parts += ["## Metrics", "\n".join(listed)]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    def line(texts: Iterable[str]) -> str:
        return f"| {' | '.join(texts)} |"

    head = line(_markdown(column.alone) for column in table.columns)
    rule = line("---:" if column.numeric else ":---" for column in table.columns)
    return "\n".join([head, rule, *(line(map(_markdown_cell, row.cells)) for row in table.rows)])


def _markdown_cell(cell: Cell) -> str:
    if cell.link:
        return f"[{_markdown(cell.text)}](<{cell.link}>)"
    return f"**{_markdown(cell.text)}**" if cell.strong else _markdown(cell.text)


def _markdown(text: str) -> str:
    return "".join(f"\\{ch}" if ch in "\\`*_<>|[]#&~$" else ch for ch in printable(text))


def markdown_figures(captions: Iterable[tuple[str, str]]) -> str:
    """A picture and its caption each; captions: (file name without ending, caption)."""
    return "\n".join(f"![{_markdown(text)}]({name}.png)\n\n{_markdown(text)}\n" for name, text in captions)


def json_text(content: Content) -> str:
    """Everything that the tables say, with the numbers behind each cell, not rounded; null: none.

    {heading, notes, metrics: [{name, title, higher_is_better, doc}], tables: [{name, title, caption, columns:
    [{heading, group}], rows: [{muted, cells: [{text, best, numbers}]}]}]}
    """
    told = {
        "heading": content.heading,
        "notes": content.notes,
        "metrics": [
            {"name": d.name, "title": d.title, "higher_is_better": d.higher_is_better, "doc": d.doc}
            for d in content.definitions
        ],
        "tables": [_json_table(table) for table in content.tables],
    }
    return json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _json_table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "title": table.title,
        "caption": table.caption,
        "columns": [{"heading": column.heading, "group": column.group} for column in table.columns],
        "rows": [
            {
                "muted": row.muted,
                "cells": [
                    {"text": cell.text, "best": cell.strong, "numbers": _finite(cell.raw)}
                    for cell in row.cells
                ],
            }
            for row in table.rows
        ],
    }


def _finite(numbers: Mapping[str, float | None]) -> dict[str, float | None]:
    return {
        key: value if value is not None and math.isfinite(value) else None for key, value in numbers.items()
    }


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "†": r"$^{\dagger}$",
    "‖": r"$\|$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "∞": r"$\infty$",
    "∝": r"$\propto$",
    "√": r"$\surd$",
    "½": r"$\frac{1}{2}$",
    "…": r"\ldots{}",
    "�": "?",
}


def latex(tables: Iterable[Table]) -> str:
    """A table environment each, in booktabs style; the preamble needs booktabs and graphicx."""
    head = "% \\usepackage{booktabs,graphicx}\n"
    return head + "\n" + "\n".join(map(_latex_table, tables))


def latex_figures(captions: Iterable[tuple[str, str]]) -> str:
    """A figure environment each; captions: (file name without ending, caption). Needs graphicx."""
    figures = [
        "\n".join(
            [
                r"\begin{figure}[tb]",
                r"\centering",
                rf"\includegraphics{{{name}.pdf}}",
                rf"\caption{{{_latex(text)}}}",
                rf"\label{{fig:{name}}}",
                r"\end{figure}",
                "",
            ]
        )
        for name, text in captions
    ]
    return "\n".join(["% \\usepackage{graphicx}", "", *figures])


def _latex_table(table: Table) -> str:
    align = "".join("r" if column.numeric else "l" for column in table.columns)
    rows = [_latex_line(map(_latex_cell, row.cells)) for row in table.rows]
    lines = [
        r"\begin{table}[tb]",
        r"\centering",
        rf"\caption{{{_latex(f'{table.title}. {table.caption}')}}}",
        rf"\label{{tab:{table.name}}}",
        # As wide as the page at most, and never blown up.
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{@{{}}{align}@{{}}}}",
        r"\toprule",
        *_latex_groups(table),
        _latex_line(_latex(column.heading) for column in table.columns),
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _latex_groups(table: Table) -> list[str]:
    """The line of group headings with a rule under each."""
    cells, rules, column = [], [], 1
    for group, span in table.groups():
        if group.strip():
            cells.append(rf"\multicolumn{{{span}}}{{c}}{{{_latex(group)}}}")
            rules.append(rf"\cmidrule(lr){{{column}-{column + span - 1}}}")
        else:
            cells += [""] * span
        column += span
    return [_latex_line(cells), "".join(rules)] if rules else []


def _latex_line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_cell(cell: Cell) -> str:
    text = _latex(cell.text)
    return rf"\textbf{{{text}}}" if cell.strong else text


def _latex(text: str) -> str:
    return "".join(_LATEX.get(ch) or _latex_sign(ch) for ch in unicodedata.normalize("NFC", printable(text)))


_GREEK_CAPITALS = "ΓΔΘΛΞΠΣΥΦΨΩ"


def _latex_sign(ch: str) -> str:
    """A sign that pdflatex sets without further packages: letters with accents, Greek ones, raised and
    lowered ones; "?" for any other."""
    if ch.isascii():
        return ch
    name, parts = unicodedata.name(ch, ""), unicodedata.decomposition(ch).split()
    if parts[:1] in (["<super>"], ["<sub>"]):
        raised = "^" if parts[0] == "<super>" else "_"
        return f"${raised}{{{''.join(chr(int(code, 16)) for code in parts[1:])}}}$"
    if name.startswith("GREEK SMALL LETTER ") and name.count(" ") == 3:
        return rf"$\{name.rpartition(' ')[2].lower().replace('lamda', 'lambda')}$"
    if ch in _GREEK_CAPITALS:
        return rf"$\{name.rpartition(' ')[2].capitalize().replace('Lamda', 'Lambda')}$"
    return ch if name.startswith("LATIN") and ord(ch) <= 0x17F else "?"
