"""QUIC connections without sockets and clocks: the only place that knows aioquic.

Bytes and ``now`` go in, datagrams and calls of a :class:`~pilotdht.tunnel.quic.events.ConnectionSink` come out, so that
another stack could stand here. What aioquic lacks for a node that strangers may talk to is added by subclasses, one
idea a module:

=====================  ================================================================================================
``pinned``             both sides prove an Ed25519 key inside TLS 1.3, and nothing weaker is offered
``credit``             flow control that gives credit for bytes the application has consumed, not for bytes that arrived
``writer``             packets are filled from the streams that have something to say, not by asking every stream
``fast_send``          the bulk part of a stream goes straight from its buffer into packets
``fast_receive``       packets on the known path are opened and read without intermediate objects
``recovery``           acknowledgements handled in batches; pacing that fits the timers of an event loop
``congestion``         a controller that keeps its rate under random loss
``retry``, ``reset``   stateless answers to datagrams that belong to no link
``private``            the list of aioquic's private names that all this touches, held by a test
=====================  ================================================================================================
"""
