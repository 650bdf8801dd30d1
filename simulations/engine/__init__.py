"""The engine of a simulation: virtual time, and streams of randomness."""
