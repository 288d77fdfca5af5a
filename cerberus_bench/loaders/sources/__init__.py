"""One module a source dataset: its SPEC, and the reader of its files."""
