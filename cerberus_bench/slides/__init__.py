"""Whole slides: readers, tissue, shards of work, and objects joined over the whole slide."""
