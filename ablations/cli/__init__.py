"""The command line: arguments, exit statuses, listings and tables on the terminal."""
