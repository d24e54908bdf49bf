"""Many images: a manifest, shards, the cores at hand or a cluster."""
