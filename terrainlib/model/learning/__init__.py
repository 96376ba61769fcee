"""How a network learns: batches, steps, epochs, checkpoints."""
