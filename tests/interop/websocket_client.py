#!/usr/bin/env python3
"""Drives a broker with websocket-client and aiomqtt: websocket_client.py HOST MQTT_PORT WS_PORT

Bare topic sockets talk with paho-mqtt on TCP, both ways, and so does aiomqtt over WebSocket. Prints
a line per check and exits 1 if one failed. Every wait is for an event, with a deadline.
"""

import asyncio
import os
import queue
import sys

import aiomqtt
import paho.mqtt.client as mqtt
import websocket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST, MQTT_PORT, WS_PORT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
DEADLINE_SECONDS = 20
LARGE_BYTES = int(os.environ.get("RINGBUS_LARGE_BYTES", 1 << 20))
TEXT, BINARY = websocket.ABNF.OPCODE_TEXT, websocket.ABNF.OPCODE_BINARY


class Device:
    """An MQTT client on TCP that is subscribed to one topic."""

    def __init__(self, topic):
        self.topic, self.messages = topic, queue.Queue()
        ready = queue.Queue()
        self.paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.paho.on_connect = lambda *_: self.paho.subscribe(topic, 1)
        self.paho.on_subscribe = lambda *_: ready.put(True)
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.connect(HOST, MQTT_PORT)
        self.paho.loop_start()
        ready.get(timeout=DEADLINE_SECONDS)

    def publish(self, payload, text=False, retain=False):
        properties = Properties(PacketTypes.PUBLISH)
        if text:
            properties.PayloadFormatIndicator = 1
        sent = self.paho.publish(self.topic, payload, 1, retain, properties)
        sent.wait_for_publish(DEADLINE_SECONDS)

    def expect(self, payload, text=False):
        got = self.messages.get(timeout=DEADLINE_SECONDS)
        indicator = getattr(got.properties, "PayloadFormatIndicator", 0)
        assert (got.payload, indicator) == (payload, int(text)), f"{got.payload[:80]} {indicator}"

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


def url(path):
    return f"ws://{HOST}:{WS_PORT}/{path}"


def connect(path):
    return websocket.create_connection(url(path), timeout=DEADLINE_SECONDS)


def expect(bare, opcode, payload):
    got = bare.recv_data()
    assert got == (opcode, payload), f"got {got[0]} {got[1][:80]}"


def text_both_ways(name):
    device, bare = Device(name), connect(name)
    bare.send("grüße")
    expect(bare, TEXT, "grüße".encode())
    device.expect("grüße".encode(), text=True)
    device.publish("zurück", text=True)
    expect(bare, TEXT, "zurück".encode())
    bare.close(), device.close()


def binary_both_ways(name):
    device, bare = Device(name), connect(name)
    payload = bytes(range(256))
    bare.send_binary(payload)
    expect(bare, BINARY, payload)
    device.expect(payload)
    device.publish(payload[::-1])
    expect(bare, BINARY, payload[::-1])
    bare.close(), device.close()


def two_lines_without_a_path(_name):
    """The root is topic `ws`."""
    device = Device("ws")
    bare = websocket.WebSocket()
    bare.connect(f"ws://{HOST}:{WS_PORT}")
    bare.send("hello")
    device.expect(b"hello", text=True)
    bare.close(), device.close()


def escapes_in_the_path(name):
    device, bare = Device(f"{name}/ä b"), connect(f"{name}/%C3%A4%20b")
    bare.send("x")
    device.expect(b"x", text=True)
    bare.close(), device.close()


def no_echo(name):
    device, bare = Device(name), connect(f"{name}?echo=0")
    bare.send("own")
    device.expect(b"own", text=True)
    device.publish("of another", text=True)
    expect(bare, TEXT, b"of another")
    bare.close(), device.close()


def retained_and_last(name):
    device, keeper = Device(name), connect(f"{name}?retain=1")
    keeper.send("kept")
    device.expect(b"kept", text=True)
    late = connect(f"{name}?last=1")
    expect(late, TEXT, b"kept")
    keeper.send("")
    expect(late, TEXT, b"")
    later = connect(f"{name}?last=1")
    later.send("fence")
    expect(later, TEXT, b"fence")
    keeper.close(), late.close(), later.close(), device.close()


def text_asked_for(name):
    device, bare = Device(name), connect(f"{name}?text=1")
    device.publish("no indicator")
    expect(bare, TEXT, b"no indicator")
    device.publish(b"\xff")
    expect(bare, BINARY, b"\xff")
    bare.close(), device.close()


def order_of_many(name):
    device, bare = Device(name), connect(f"{name}?qos=1")
    for number in range(200):
        bare.send(str(number))
    for number in range(200):
        device.expect(str(number).encode(), text=True)
        expect(bare, TEXT, str(number).encode())
    bare.close(), device.close()


def large(name):
    device, bare = Device(name), connect(name)
    payload = os.urandom(LARGE_BYTES)
    bare.send_binary(payload)
    expect(bare, BINARY, payload)
    device.expect(payload)
    device.publish(payload)
    expect(bare, BINARY, payload)
    bare.close(), device.close()


def fragments(name):
    device, bare = Device(name), connect(name)
    for opcode, text in ((TEXT, "one "), (websocket.ABNF.OPCODE_CONT, "two ")):
        bare.send_frame(websocket.ABNF.create_frame(text, opcode, fin=0))
        bare.ping("between")
        assert bare.recv_data_frame(control_frame=True)[0] == websocket.ABNF.OPCODE_PONG
    bare.send_frame(websocket.ABNF.create_frame("three", websocket.ABNF.OPCODE_CONT))
    expect(bare, TEXT, b"one two three")
    device.expect(b"one two three", text=True)
    bare.close(), device.close()


def close_is_answered(name):
    bare = connect(name)
    bare.send_close(3456, b"enough")
    opcode, payload = bare.recv_data()
    assert (opcode, payload[:2]) == (websocket.ABNF.OPCODE_CLOSE, (3456).to_bytes(2, "big")), payload


def wildcards_are_refused(name):
    for path in (f"{name}/%23", f"{name}/+", f"{name}?what=1"):
        try:
            connect(path)
        except websocket.WebSocketBadStatusException as refused:
            assert refused.status_code == 400 and refused.resp_body, f"{path}: {refused}"
        else:
            raise AssertionError(f"{path} was admitted")


def aiomqtt_both_ways(name):
    async def talk():
        async with asyncio.timeout(DEADLINE_SECONDS):
            options = {"transport": "websockets", "websocket_path": "/mqtt"}
            async with (
                aiomqtt.Client(HOST, WS_PORT, **options) as over_websocket,
                aiomqtt.Client(HOST, MQTT_PORT) as over_tcp,
            ):
                for one, other in ((over_websocket, over_tcp), (over_tcp, over_websocket)):
                    await other.subscribe(name, qos=2)
                    for qos in range(3):
                        await one.publish(name, f"at {qos}", qos=qos)
                        message = await anext(other.messages)
                        assert (message.payload, message.qos) == (f"at {qos}".encode(), qos), message
                    await other.unsubscribe(name)

    asyncio.run(talk())


CHECKS = [
    text_both_ways, binary_both_ways, two_lines_without_a_path, escapes_in_the_path, no_echo,
    retained_and_last, text_asked_for, order_of_many, large, fragments, close_is_answered,
    wildcards_are_refused, aiomqtt_both_ways,
]


def main():
    failed = 0
    for check in CHECKS:
        try:
            check(f"py/{check.__name__}")
            print(f"ok     websocket-client {check.__name__}", flush=True)
        except Exception as error:  # noqa: BLE001: every failure is a line, and the rest still runs
            failed += 1
            print(f"FAILED websocket-client {check.__name__}: {error!r}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
