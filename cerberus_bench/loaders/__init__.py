"""Sources into harmonised records, and harmonised records back from disk."""
