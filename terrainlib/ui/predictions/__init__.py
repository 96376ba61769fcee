"""Predictions in a process of their own: started, watched, listed, opened."""
