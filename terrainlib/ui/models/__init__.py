"""What the pages show of models: cards, choice, upload, instant masks."""
