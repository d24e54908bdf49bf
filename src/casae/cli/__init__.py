"""The command line: one thin module a command."""

DATASET_HELP = "READER:PATH, such as folder:my-part; others: sd-saliency-900, neu-seg, nanotwice, dagm."
