"""Nodes behind NATs: who stands behind what, who dials whom, and along which roads their tunnels go."""
