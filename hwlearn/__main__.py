"""``python -m hwlearn``: the command line, also where the folder of scripts is not on the path."""

from hwlearn.cli import main

if __name__ == "__main__":
    main()
