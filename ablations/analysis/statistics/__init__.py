"""Statistics: tests, intervals, verdicts and advice from arrays of errors; nothing here knows of suites."""
