"""Networks and how they learn; the only room that imports torch."""
