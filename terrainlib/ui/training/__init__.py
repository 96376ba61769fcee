"""What the pages show of trainings: the form, curves, previews, the table."""
