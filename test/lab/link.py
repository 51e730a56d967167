"""Joins two network interfaces with a delay and random loss, for kernels without tc netem.

usage: link.py INTERFACE INTERFACE ONE_WAY_DELAY_MS LOSS_PER_DIRECTION SEED
Checksums and segments must be made by software, because frames are copied as they are read.
"""

import ctypes
import fcntl
import heapq
import random
import select
import socket
import struct
import sys
import time

SIOCETHTOOL = 0x8946
# Transmit checksums, segmentation and aggregation of the kernel's linux/ethtool.h, all off.
SWITCHES = (0x17, 0x1F, 0x24, 0x2C)
MOST_WAITING = 100_000


def offloads_off(name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for switch in SWITCHES:
            value = ctypes.create_string_buffer(struct.pack("II", switch, 0))
            fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP", name.encode(), ctypes.addressof(value)))


def opened(name):
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    link.bind((name, 0))
    link.setblocking(False)
    return link


def main():
    first, second, delay_ms, loss, seed = sys.argv[1:6]
    chance = random.Random(int(seed))
    ends = [opened(first), opened(second)]
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    waiting = []
    order = 0
    print("ready", flush=True)
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, target, frame = heapq.heappop(waiting)
            try:
                target.send(frame)
            except OSError:
                pass
        pause = max(0, waiting[0][0] - now) if waiting else 1
        readable, _, _ = select.select(ends, [], [], pause)
        for link in readable:
            while True:
                try:
                    frame, address = link.recvfrom(65_536)
                except BlockingIOError:
                    break
                # Frames that this program sent come by as well.
                if address[2] == socket.PACKET_OUTGOING:
                    continue
                is_ip = frame[12:14] == b"\x08\x00"
                if (is_ip and chance.random() < float(loss)) or len(waiting) >= MOST_WAITING:
                    continue
                order += 1
                due = time.monotonic() + float(delay_ms) / 1000
                heapq.heappush(waiting, (due, order, other[link], frame))


if sys.argv[1] == "--offloads-off":
    for each in sys.argv[2:]:
        offloads_off(each)
else:
    main()
