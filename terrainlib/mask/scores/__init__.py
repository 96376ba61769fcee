"""How good masks are: scores on data sets, galleries, and curves."""
