"""Searches for overlaps in a process of their own."""
