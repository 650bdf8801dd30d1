"""The world that simulated nodes live in: places, the network between them, clocks, NATs, cuts."""
