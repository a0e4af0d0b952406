"""``python -m spurion``: the same as the command ``spurion``."""

from spurion.cli import main

if __name__ == "__main__":
    main()
