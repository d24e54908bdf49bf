"""The paper's tables and figures on public data."""
