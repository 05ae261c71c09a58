"""The tables as files for other programs: CSV, Markdown, LaTeX."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from cl_bench.reports.cells import Cell, Table, printable


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
    "λ": r"$\lambda$",
    "…": r"\ldots{}",
    "�": "?",
}


def latex(tables: Iterable[Table]) -> str:
    """A table environment each, in booktabs style; the preamble needs booktabs and graphicx."""
    head = "% \\usepackage{booktabs,graphicx}\n"
    return head + "\n" + "\n".join(map(_latex_table, tables))


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
    return "".join(_LATEX.get(ch, ch) for ch in printable(text))
