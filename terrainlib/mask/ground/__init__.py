"""How much ground pixels and classes cover."""
