"""The command line: one file a command, as thin as the pages."""
