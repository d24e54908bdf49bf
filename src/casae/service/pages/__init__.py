"""Pages for people: what comes, what came, one inspection, what is doubtful. They ask the API like anybody else."""
