"""The nouns that every other part of the package agrees on. Imports nothing of ours."""
