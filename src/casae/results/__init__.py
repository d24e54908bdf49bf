"""What a person or another system gets of an inspection."""
