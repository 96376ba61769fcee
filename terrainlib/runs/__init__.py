"""Trainings as processes of their own, and the folders they write."""
