"""`python -m cerberus_bench`: the command line."""

from cerberus_bench.cli import main

if __name__ == "__main__":
    main()
