"""Labels of other tools, in and out: a format is a function that reads and one that writes."""
