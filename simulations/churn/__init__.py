"""How nodes come and go: distributions of lifetimes, arrivals, and the processes that apply them to a population."""
