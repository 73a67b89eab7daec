#!/usr/bin/python3 -I
"""wake SOCKET: comes and goes at a server that is to end, until nobody listens there any more.

gunicorn's threaded workers hear of SIGTERM when something happens at their sockets, else within a second, and users wait for it.
"""

import socket
import sys
import time

while True:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.setblocking(False)
        try:
            caller.connect(sys.argv[1])
        except OSError:  # nobody listens, or what does has long stopped answering
            break
    time.sleep(0.03)
