"""Verbs that need more than one store, or an edge's help: between the store and the edges."""
