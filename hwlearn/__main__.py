"""The command line: ``hwlearn``, or ``python -m hwlearn`` where the folder of scripts is not on the path."""

from hwlearn import early_exit

early_exit.end_on_ctrl_c()


def main() -> None:
    """Run the command line."""
    from hwlearn.cli import main as run

    run()


if __name__ == "__main__":
    main()
