"""The formats that a report is written in: Markdown, HTML, LaTeX."""
