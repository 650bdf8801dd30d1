"""The nodes of a simulation: who exists, who is up, and how one is started, stopped, killed and asked."""
