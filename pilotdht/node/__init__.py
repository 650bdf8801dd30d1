"""The embeddable node: joins all rooms behind ``async with Node(config) as node``."""
