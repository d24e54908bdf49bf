"""Labelled images in memory, without torch."""
