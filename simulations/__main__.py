"""``python -m simulations``."""

from simulations.command.program import program

if __name__ == "__main__":  # processes of a sweep import this module again
    program.main(prog_name="python -m simulations")
