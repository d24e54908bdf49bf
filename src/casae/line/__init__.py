"""Running it: a source of pictures, an inspector, a store."""
