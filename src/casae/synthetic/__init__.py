"""Procedural metal with exact masks."""
