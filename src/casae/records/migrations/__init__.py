"""What makes and changes the tables, one file a step."""
