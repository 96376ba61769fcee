"""Predictions in a process of their own, on the page."""
