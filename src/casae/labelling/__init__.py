"""Labelling: what people draw, version by version, tools that help them, what to label next, how well they agree."""
