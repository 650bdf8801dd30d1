"""Links to peers over QUIC, proved by key at both ends, and the streams and messages on them."""
