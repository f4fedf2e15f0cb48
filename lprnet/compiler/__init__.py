"""A network and its weights to a shared object with its manifest."""
