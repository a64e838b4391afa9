#!/usr/bin/env python3
# Publishes readings that stay, by MQTT-SN over UDP: python3 examples/mqttsn_sensor.py [HOST [PORT]]
import socket, sys

host, port = (sys.argv[1:] + ["127.0.0.1", "1884"][len(sys.argv) - 1 :])[:2]
sensor = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sensor.settimeout(5)

def ask(kind, body):
    sensor.sendto(bytes([len(body) + 2, kind]) + body, (host, int(port)))
    return sensor.recv(256)

ask(0x04, b"\x04\x01\x00\x3cgarden")  # CONNECT: a clean session, heard every 60 s
topic_id = ask(0x0A, b"\0\0\0\x01home/garden/celsius")[2:4]  # REGISTER
for number, celsius in enumerate((7.5, 7.7, 8.1), 1):
    ask(0x0C, b"\x30" + topic_id + bytes([0, number]) + str(celsius).encode())  # PUBLISH: QoS 1, retained
ask(0x18, b"")  # DISCONNECT
