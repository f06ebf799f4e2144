"""Layers: of what, under which key, made and pushed."""
