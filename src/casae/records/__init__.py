"""Inspections in a database, for as long as a line runs: schema, store, queries, migrations."""
