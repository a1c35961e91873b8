"""`python -m curricle`: the command line."""

from curricle.cli import main

if __name__ == "__main__":
    main()
