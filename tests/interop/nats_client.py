#!/usr/bin/env python3
"""Drives a broker with nats-py: nats_client.py HOST MQTT_PORT WS_PORT NATS_PORT

Each check talks with paho-mqtt on TCP and with a bare topic socket, both ways. Prints a line per
check and exits 1 if one failed. Every wait is for an event, with a deadline.
"""

import asyncio
import os
import queue
import sys

import nats
import nats.errors
import paho.mqtt.client as mqtt
import websocket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST, MQTT_PORT, WS_PORT, NATS_PORT = sys.argv[1], *map(int, sys.argv[2:5])
DEADLINE_SECONDS = 20
LARGE_BYTES = int(os.environ.get("RINGBUS_LARGE_BYTES", 1 << 20))
BINARY = websocket.ABNF.OPCODE_BINARY
ALL_BYTES = bytes(range(256))


class Device:
    """An MQTT client on TCP that is subscribed to one filter."""

    def __init__(self, topic):
        self.messages = queue.Queue()
        ready = queue.Queue()
        self.paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.paho.on_connect = lambda *_: self.paho.subscribe(topic, 1)
        self.paho.on_subscribe = lambda *_: ready.put(True)
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.connect(HOST, MQTT_PORT)
        self.paho.loop_start()
        ready.get(timeout=DEADLINE_SECONDS)

    def publish(self, topic, payload, qos=1, retain=False, **properties):
        packet = Properties(PacketTypes.PUBLISH)
        for name, value in properties.items():
            setattr(packet, name, value)
        self.paho.publish(topic, payload, qos, retain, packet).wait_for_publish(DEADLINE_SECONDS)

    def expect(self, topic, payload):
        got = self.messages.get(timeout=DEADLINE_SECONDS)
        assert (got.topic, got.payload) == (topic, payload), f"{got.topic} {got.payload[:80]}"
        return got

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


class Bare:
    """A bare topic socket, which also hears what it says."""

    def __init__(self, topic):
        url = f"ws://{HOST}:{WS_PORT}/{topic}?echo=0"
        self.socket = websocket.create_connection(url, timeout=DEADLINE_SECONDS)

    def publish(self, payload):
        self.socket.send_binary(payload)

    def expect(self, payload):
        got = self.socket.recv_data()
        assert got == (BINARY, payload), f"{got[0]} {got[1][:80]}"

    def close(self):
        self.socket.close()


async def connect(**options):
    return await nats.connect(
        f"nats://{HOST}:{NATS_PORT}", allow_reconnect=False, connect_timeout=DEADLINE_SECONDS, **options
    )


async def barrier(client):
    """What was said before is done. Twice, as this client's first PING overtakes what waits to be
    written."""
    for _ in range(2):
        await client.flush(DEADLINE_SECONDS)


async def subscribe(client, subject, **options):
    """A subscription that is active."""
    subscription = await client.subscribe(subject, **options)
    await barrier(client)
    return subscription


async def expect(subscription, subject, payload):
    got = await subscription.next_msg(DEADLINE_SECONDS)
    assert (got.subject, got.data) == (subject, payload), f"{got.subject} {got.data[:80]}"
    return got


async def expect_nothing(client, *subscriptions):
    """What was on its way before a PONG has come before it."""
    await barrier(client)
    for subscription in subscriptions:
        assert subscription.pending_msgs == 0, await subscription.next_msg()


async def all_ways(topic, payload):
    """One message of each of three protocols, to each of them."""
    subject = topic.replace("/", ".")
    device, bare, client = Device(topic), Bare(topic), await connect()
    own = await subscribe(client, subject)
    await client.publish(subject, payload)
    await expect(own, subject, payload)
    device.expect(topic, payload)
    bare.expect(payload)
    device.publish(topic, payload)
    await expect(own, subject, payload)
    device.expect(topic, payload)
    bare.expect(payload)
    bare.publish(payload)
    await expect(own, subject, payload)
    device.expect(topic, payload)
    await client.close()
    bare.close(), device.close()


async def binary_all_ways(topic):
    await all_ways(topic, ALL_BYTES)


async def empty_all_ways(topic):
    await all_ways(topic, b"")


async def large_all_ways(topic):
    await all_ways(topic, os.urandom(LARGE_BYTES))


async def wildcards(topic):
    subject = topic.replace("/", ".")
    device, client = Device(f"{topic}/#"), await connect()
    star = await subscribe(client, f"{subject}.*.temp")
    all_below = await subscribe(client, f"{subject}.>")
    device.publish(f"{topic}/a/temp", b"1")
    device.publish(f"{topic}/a/b/temp", b"2")
    device.publish(topic, b"not below")
    device.publish(f"{topic}/a b.c/temp", b"3")
    for name, payload in (("a.temp", b"1"), ("a.b.temp", b"2"), ("a%20b%2Ec.temp", b"3")):
        await expect(all_below, f"{subject}.{name}", payload)
    for name, payload in (("a.temp", b"1"), ("a%20b%2Ec.temp", b"3")):
        await expect(star, f"{subject}.{name}", payload)
    await expect_nothing(client, star, all_below)
    for name, payload in (("a/temp", b"1"), ("a/b/temp", b"2")):
        device.expect(f"{topic}/{name}", payload)
    device.expect(topic, b"not below")
    device.expect(f"{topic}/a b.c/temp", b"3")
    bare = Bare(f"{topic}/x/temp")
    bare.publish(b"of a socket")
    await expect(star, f"{subject}.x.temp", b"of a socket")
    device.expect(f"{topic}/x/temp", b"of a socket")
    await client.publish(f"{subject}.y%20z.temp", b"4")
    await barrier(client)
    device.expect(f"{topic}/y z/temp", b"4")
    await client.close()
    bare.close(), device.close()


async def queue_groups(topic):
    """With MQTT's members in the same group: each message goes to one of all."""
    subject = topic.replace("/", ".")
    clients = [await connect() for _ in range(3)]
    workers = [await subscribe(client, subject, queue="team") for client in clients]
    member, publisher, bare = Device(f"$share/team/{topic}"), Device("other"), Bare(topic)
    for number in range(60):
        publisher.publish(topic, b"job %d" % number)
        bare.expect(b"job %d" % number)
    for number in range(60, 120):
        bare.publish(b"job %d" % number)
    bare.socket.ping("fence")
    assert bare.socket.recv_data_frame(control_frame=True)[0] == websocket.ABNF.OPCODE_PONG
    got = []
    shares = [0] * 4
    while len(got) < 120:
        for at, worker in enumerate(workers):
            while worker.pending_msgs:
                got.append((await worker.next_msg()).data)
                shares[at] += 1
        while not member.messages.empty():
            got.append(member.messages.get().payload)
            shares[3] += 1
        # Each round trip brings what came by then.
        for client in clients:
            await barrier(client)
    assert sorted(got) == sorted(b"job %d" % number for number in range(120)), got
    assert all(share > 0 for share in shares), shares
    for client in clients:
        await client.close()
    bare.close(), member.close(), publisher.close()


async def request_reply(topic):
    subject = topic.replace("/", ".")
    helper, client = await connect(), await connect()

    async def answer(message):
        await message.respond(message.data.upper())

    await subscribe(helper, subject, cb=answer)
    for text in (b"one", b"two"):
        got = await client.request(subject, text, timeout=DEADLINE_SECONDS)
        assert got.data == text.upper(), got
    got = await client.request(subject, b"old", timeout=DEADLINE_SECONDS, old_style=True)
    assert got.data == b"OLD", got
    await client.close()
    await helper.close()


async def request_of_mqtt(topic):
    """A reply subject is the response topic, both ways."""
    subject = topic.replace("/", ".")
    device, client = Device(topic), await connect()
    asking = asyncio.create_task(client.request(subject, b"?", timeout=DEADLINE_SECONDS))
    asked = await asyncio.to_thread(device.expect, topic, b"?")
    device.publish(asked.properties.ResponseTopic, b"of MQTT")
    assert (await asking).data == b"of MQTT"
    answers = Device(f"{topic}/answer")

    async def answer(message):
        await message.respond(b"of NATS")

    await subscribe(client, f"{subject}.other", cb=answer)
    device.publish(f"{topic}/other", b"?", ResponseTopic=f"{topic}/answer")
    await asyncio.to_thread(answers.expect, f"{topic}/answer", b"of NATS")
    await client.close()
    device.close(), answers.close()


async def nobody_responds(topic):
    client = await connect()
    try:
        await client.request(topic.replace("/", "."), b"?", timeout=DEADLINE_SECONDS)
    except nats.errors.NoRespondersError:
        pass
    else:
        raise AssertionError("somebody answered")
    await client.close()


async def headers_both_ways(topic):
    subject = topic.replace("/", ".")
    device, client = Device(topic), await connect()
    own = await subscribe(client, subject)
    sent = {"Colour": "red", "Content-Type": "text/plain", "X-Long": "v" * 1000}
    await client.publish(subject, b"1", headers=sent)
    message = await expect(own, subject, b"1")
    assert message.headers == sent, message.headers
    properties = device.expect(topic, b"1").properties
    assert properties.ContentType == "text/plain", properties
    assert properties.UserProperty == [("Colour", "red"), ("X-Long", "v" * 1000)], properties
    device.publish(topic, b"2", UserProperty=[("Shape", "round")], ContentType="image/png")
    message = await expect(own, subject, b"2")
    assert message.headers == {"Content-Type": "image/png", "Shape": "round"}, message.headers
    device.publish(topic, b"3")
    message = await expect(own, subject, b"3")
    assert message.headers is None, message.headers
    await client.close()
    device.close()


async def retained(topic):
    subject = topic.replace("/", ".")
    keeper, client = await connect(), await connect()
    await keeper.publish(subject, b"kept", headers={"Mqtt-Retain": "1"})
    await barrier(keeper)
    late = await subscribe(client, subject)
    message = await expect(late, subject, b"kept")
    assert message.headers == {"Mqtt-Retain": "1"}, message.headers
    device = Device(topic)
    assert device.expect(topic, b"kept").retain
    await client.close()
    await keeper.close()
    device.close()


async def stored_message_is_acknowledged(topic):
    subject = topic.replace("/", ".")
    device, bare, client = Device(topic), Bare(topic), await connect()
    for number in range(3):
        payload = b"keep %d" % number
        headers = {"Mqtt-QoS": "1"}
        got = await client.request(subject, payload, timeout=DEADLINE_SECONDS, headers=headers)
        assert got.data == b"+OK", got
        assert device.expect(topic, payload).qos == 1
        bare.expect(payload)
    await client.close()
    bare.close(), device.close()


async def unsubscribe_after_some(topic):
    subject = topic.replace("/", ".")
    device, bare, client = Device("other"), Bare(topic), await connect()
    limited = await client.subscribe(subject)
    await limited.unsubscribe(limit=3)
    open_end = await subscribe(client, subject)
    for number in range(3):
        device.publish(topic, b"%d" % number)
    for number in range(3, 6):
        bare.publish(b"%d" % number)
    for number in range(3):
        await expect(limited, subject, b"%d" % number)
    for number in range(6):
        await expect(open_end, subject, b"%d" % number)
    try:
        got = await limited.next_msg(DEADLINE_SECONDS)
        raise AssertionError(f"a fourth message: {got}")
    except nats.errors.Error:
        pass
    await open_end.unsubscribe()
    await barrier(client)
    device.publish(topic, b"after")
    await barrier(client)
    assert open_end.pending_msgs == 0
    await client.close()
    bare.close(), device.close()


async def drain(topic):
    """What came before is handled, and what was said is sent."""
    subject = topic.replace("/", ".")
    device, client = Device(f"{topic}/out"), await connect()
    handled = []

    async def handle(message):
        handled.append(message.data)
        await client.publish(f"{subject}.out", message.data)

    await subscribe(client, subject, cb=handle)
    for number in range(50):
        device.publish(topic, b"%d" % number)
    await barrier(client)
    await client.drain()
    assert client.is_closed
    assert handled == [b"%d" % number for number in range(50)], handled
    for number in range(50):
        device.expect(f"{topic}/out", b"%d" % number)
    device.close()


async def order_of_many(topic):
    subject = topic.replace("/", ".")
    device, bare, client = Device(topic), Bare(topic), await connect()
    own = await subscribe(client, subject)
    for number in range(1000):
        await client.publish(subject, b"%d" % number)
    await barrier(client)
    for number in range(1000):
        await expect(own, subject, b"%d" % number)
        device.expect(topic, b"%d" % number)
        bare.expect(b"%d" % number)
    await client.close()
    bare.close(), device.close()


async def no_echo_verbose_and_pedantic(topic):
    subject = topic.replace("/", ".")
    quiet, other = await connect(no_echo=True), await connect(verbose=True, pedantic=True)
    own, heard = await subscribe(quiet, subject), await subscribe(other, subject)
    await quiet.publish(subject, b"own")
    await expect(heard, subject, b"own")
    await other.publish(subject, b"of another")
    await expect(own, subject, b"of another")
    await expect(heard, subject, b"of another")
    await expect_nothing(quiet, own)
    await quiet.close()
    await other.close()


async def larger_than_the_maximum(topic):
    client = await connect()
    assert client.max_payload >= LARGE_BYTES, client.max_payload
    try:
        await client.publish(topic.replace("/", "."), bytes(client.max_payload + 1))
    except nats.errors.MaxPayloadError:
        pass
    else:
        raise AssertionError("it was sent")
    await client.close()


CHECKS = [
    binary_all_ways, empty_all_ways, large_all_ways, wildcards, queue_groups, request_reply,
    request_of_mqtt, nobody_responds, headers_both_ways, retained, stored_message_is_acknowledged,
    unsubscribe_after_some, drain, order_of_many, no_echo_verbose_and_pedantic,
    larger_than_the_maximum,
]


def main():
    failed = 0
    for check in CHECKS:
        try:
            asyncio.run(asyncio.wait_for(check(f"py/{check.__name__}"), 3 * DEADLINE_SECONDS))
            print(f"ok     nats-py {check.__name__}", flush=True)
        except Exception as error:  # noqa: BLE001: every failure is a line, and the rest still runs
            failed += 1
            print(f"FAILED nats-py {check.__name__}: {error!r}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
