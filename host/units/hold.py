#!/usr/bin/python3 -I
"""hold: while no release may have the public port, its users' connections wait here; stopped, they go to whoever listens there.

systemd's socket and ours listen on one port (SO_REUSEPORT); a one-line BPF program sends every new connection to ours, so
that a release which already holds systemd's meets nobody until it has been checked. When ours is closed, the kernel hands
the connections that wait in it over to systemd's (net.ipv4.tcp_migrate_req, Linux 5.14): none is reset, none is asked twice.
"""

import ctypes
import os
import signal
import socket
import struct

SO_ATTACH_REUSEPORT_CBPF, SO_DETACH_REUSEPORT_BPF = 51, 68
BPF_RETURN_CONSTANT = 0x06
LISTEN_FDS_START = 3
UNACCEPTED = struct.Struct("24xI")  # of struct tcp_info: of a listening socket, tcpi_unacked is its queue
LOOK_SECONDS, LOOKS = 0.1, 20


def send_new_connections_to(group_member, sockets):
    program = ctypes.create_string_buffer(struct.pack("HBBI", BPF_RETURN_CONSTANT, 0, 0, group_member))
    sockets.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, struct.pack("@HP", 1, ctypes.addressof(program)))


def unaccepted(listening):
    return UNACCEPTED.unpack_from(listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, UNACCEPTED.size))[0]


def tell_systemd(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
        notify.send(text.encode())


def main():
    with open("/proc/sys/net/ipv4/tcp_migrate_req", "w") as migrate:
        migrate.write("1")
    public = socket.socket(fileno=LISTEN_FDS_START)
    waiting = socket.socket(public.family, socket.SOCK_STREAM)
    waiting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    waiting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    waiting.bind(public.getsockname())
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    send_new_connections_to(1, public)  # members of a group count in the order in which they began to listen
    waiting.listen(4096)
    # Who is in the old queue, or in the middle of a handshake with it, is for the old release, which still serves.
    for _ in range(LOOKS):
        if signal.sigtimedwait([signal.SIGTERM], LOOK_SECONDS):
            return
        if not unaccepted(public):
            break
    tell_systemd("READY=1")
    signal.sigwait([signal.SIGTERM])
    public.setsockopt(socket.SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)


main()
