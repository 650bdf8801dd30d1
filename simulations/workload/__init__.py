"""What nodes are asked while a scenario runs, and what is measured."""
