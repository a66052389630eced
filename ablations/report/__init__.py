"""Reports: an analysis of a suite's results as a document, its formats, figures and CSV files."""
