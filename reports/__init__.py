"""Reports: tables, figures and one self-contained page, made from run directories at any time.

    numbers, lines      rows to pandas; runs to lines of a comparison
    per_task            tables of one run
    comparison          tables of several
    terminal, exports   the same tables as text, CSV, Markdown and LaTeX
    figures, page       pictures and index.html

Nothing here trains or loads a model: torch is never imported.
"""
