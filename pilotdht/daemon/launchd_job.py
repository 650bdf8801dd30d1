"""The job with which macOS's launchd runs the daemon. Pure.

Source: launchd.plist(5).
"""

from __future__ import annotations

import plistlib
from collections.abc import Mapping, Sequence

JOB_LABEL = "pilotdht.daemon"
"""The job's name, and that of its file."""

MARK = "pilotdht daemon install-service"
"""Value of the key ``WrittenBy``, which launchd ignores: no other file is overwritten or removed."""


def launchd_job(command: Sequence[str], *, environment: Mapping[str, str]) -> bytes:
    """Return the job as XML.

    Args:
        command: runs the daemon in the foreground.
        environment: what the daemon finds in its environment besides.
    """
    job: dict[str, object] = {
        "Label": JOB_LABEL,
        "WrittenBy": MARK,
        "ProgramArguments": list(command),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},  # one that was stopped stays stopped
        "ThrottleInterval": 5,
        "ExitTimeOut": 15,
        "ProcessType": "Background",
        "Umask": 0o077,
        "SoftResourceLimits": {"NumberOfFiles": 8192},
    }
    if environment:
        job["EnvironmentVariables"] = dict(environment)
    return plistlib.dumps(job)
