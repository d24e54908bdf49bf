"""HTTP: inspections, models, rules, jobs and users of one home, for other systems and for people."""
