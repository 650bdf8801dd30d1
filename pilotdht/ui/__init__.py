"""The status page: served by the daemon on loopback, opened by ``pilotdht ui``, for the daemon's own user alone."""
