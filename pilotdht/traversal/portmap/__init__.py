"""Asking the router to let peers in: PCP (RFC 6887), NAT-PMP (RFC 6886), UPnP; as much as one UDP port needs."""
