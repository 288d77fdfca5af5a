"""Each verb as a plain function without a terminal: the same workflow serves Python and the CLI."""
