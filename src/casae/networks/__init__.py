"""The networks, in PyTorch, and what belongs to them."""
