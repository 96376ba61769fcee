"""What the pages show of predictions on data sets, and of their scores."""
