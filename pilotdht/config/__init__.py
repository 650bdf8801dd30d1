"""Every tunable of a node: typed, with unit, default, reason and range, checked when set."""
