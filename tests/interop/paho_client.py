#!/usr/bin/env python3
"""Drives a broker with paho-mqtt: paho_client.py HOST PORT [3.1|3.1.1|5 ...]

Prints a line per check and exits 1 if one failed. Every wait is for an event, with a deadline.
With the port of a WebSocket listener in RINGBUS_WS_PORT, all checks run over WebSocket, then with
publishers there and the others on TCP, then the other way round; RINGBUS_WS_ONLY=1 leaves the
mixed ones out.
"""

import os
import queue
import re
import socket
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

HOST, PORT = sys.argv[1], int(sys.argv[2])
VERSIONS = {"3.1": mqtt.MQTTv31, "3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}
DEADLINE_SECONDS = 20
WS_PORT = os.environ.get("RINGBUS_WS_PORT")


def publishes(client_id):
    return re.search("[p13579]$", client_id) is not None


WAYS = {
    "ws": lambda client_id: True,
    "ws to tcp": publishes,
    "tcp to ws": lambda client_id: not publishes(client_id),
} if WS_PORT else {"tcp": lambda client_id: False}
if os.environ.get("RINGBUS_WS_ONLY"):
    WAYS = {"ws": WAYS["ws"]}
over_websocket = WAYS["ws" if WS_PORT else "tcp"]


class Client:
    """A paho client whose callbacks become events in queues."""

    def __init__(self, version, client_id, clean=True, expiry=0, will=None, keep_alive=60):
        self.v5 = version == mqtt.MQTTv5
        self.messages, self.acks, self.ends = queue.Queue(), queue.Queue(), queue.Queue()
        connected = queue.Queue()
        extra = {} if self.v5 else {"clean_session": clean}
        websocket = over_websocket(client_id)
        port = int(WS_PORT) if websocket else PORT
        self.paho = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=version,
            reconnect_on_failure=False,
            transport="websockets" if websocket else "tcp",
            **extra,
        )
        self.paho.max_inflight_messages_set(1000)
        self.paho.on_connect = lambda _c, _u, flags, reason, _p: connected.put((flags, reason))
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.on_subscribe = lambda _c, _u, mid, reasons, _p: self.acks.put(reasons)
        self.paho.on_unsubscribe = lambda _c, _u, mid, reasons, _p: self.acks.put(reasons)
        self.paho.on_disconnect = lambda _c, _u, _flags, reason, _p: self.ends.put(reason)
        if will:
            self.paho.will_set(**will)
        if self.v5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = expiry
            self.paho.connect(HOST, port, keep_alive, clean_start=clean, properties=properties)
        else:
            self.paho.connect(HOST, port, keep_alive)
        self.paho.loop_start()
        flags, reason = connected.get(timeout=DEADLINE_SECONDS)
        assert not reason.is_failure, f"refused: {reason}"
        self.session_present = flags.session_present

    def subscribe(self, topic_filter, qos=0):
        self.paho.subscribe(topic_filter, qos)
        reasons = self.acks.get(timeout=DEADLINE_SECONDS)
        assert [int(r.value) for r in reasons] == [qos], f"SUBACK {reasons} for QoS {qos}"

    def unsubscribe(self, topic_filter):
        self.paho.unsubscribe(topic_filter)
        self.acks.get(timeout=DEADLINE_SECONDS)

    def publish(self, topic, payload, qos=0, retain=False, properties=None):
        sent = self.paho.publish(topic, payload, qos, retain, properties)
        sent.wait_for_publish(DEADLINE_SECONDS)
        assert sent.is_published(), f"no acknowledgement of {topic}"

    def message(self):
        return self.messages.get(timeout=DEADLINE_SECONDS)

    def expect(self, topic, payload, qos, retain=False):
        got = self.message()
        got = (got.topic, got.payload, got.qos, got.retain)
        wanted = (topic, payload.encode(), qos, retain)
        assert got == wanted, f"got {got}, wanted {wanted}"

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()

    def cut(self):
        """Ends the network connection without DISCONNECT."""
        self.paho.loop_stop()
        transport = self.paho.socket()
        # What paho wraps for WebSocket, whose close would be polite.
        transport = getattr(transport, "_socket", transport)
        transport.shutdown(socket.SHUT_RDWR)
        transport.close()


def qos_both_ways(version, name):
    subscriber, publisher = Client(version, name + "s"), Client(version, name + "p")
    for granted in range(3):
        topic = f"{name}/qos/{granted}"
        subscriber.subscribe(topic, granted)
        for sent in range(3):
            publisher.publish(topic, f"{sent} to {granted}", sent)
            subscriber.expect(topic, f"{sent} to {granted}", min(sent, granted))
    subscriber.close(), publisher.close()


def order_and_count(version, name):
    subscriber, publisher = Client(version, name + "s"), Client(version, name + "p")
    for qos in range(3):
        subscriber.subscribe(f"{name}/order/{qos}", qos)
        for number in range(100):
            publisher.paho.publish(f"{name}/order/{qos}", str(number), qos)
        for number in range(100):
            subscriber.expect(f"{name}/order/{qos}", str(number), qos)
    subscriber.close(), publisher.close()


def many_to_many(version, name):
    """Eight clients, eight topics, all to all: with several shards most of it crosses them."""
    clients = [Client(version, f"{name}{number}") for number in range(8)]
    for client in clients:
        client.subscribe(f"{name}/many/#", 1)
    for number, client in enumerate(clients):
        client.publish(f"{name}/many/{number}", str(number), 1)
    for client in clients:
        got = sorted((m.topic, m.payload) for m in (client.message() for _ in clients))
        wanted = [(f"{name}/many/{n}", str(n).encode()) for n in range(8)]
        assert got == wanted, f"got {got}"
        assert client.messages.empty(), "a message twice"
        client.close()


def large_payload(version, name):
    client, payload = Client(version, name), "ab" * 150_000
    for qos in range(3):
        client.subscribe(f"{name}/large", qos)
        client.publish(f"{name}/large", payload, qos)
        client.expect(f"{name}/large", payload, qos)
    client.close()


def retained(version, name):
    publisher = Client(version, name + "p")
    for qos in range(3):
        publisher.publish(f"{name}/retained/{qos}", "old", qos, retain=True)
        publisher.publish(f"{name}/retained/{qos}", "new", qos, retain=True)
    subscriber = Client(version, name + "s")
    for qos in range(3):
        subscriber.subscribe(f"{name}/retained/{qos}", 2)
        subscriber.expect(f"{name}/retained/{qos}", "new", qos, retain=True)
        publisher.publish(f"{name}/retained/{qos}", "", qos, retain=True)
        subscriber.expect(f"{name}/retained/{qos}", "", qos)
    late = Client(version, name + "l")
    late.subscribe(f"{name}/#", 1)
    publisher.publish(f"{name}/fence", "fence", 1)
    late.expect(f"{name}/fence", "fence", 1)
    publisher.close(), subscriber.close(), late.close()


def wills(version, name):
    watcher = Client(version, name + "w")
    watcher.subscribe(f"{name}/will/#", 1)
    for qos in range(3):
        will = {"topic": f"{name}/will/{qos}", "payload": "gone", "qos": qos}
        Client(version, name + "cut", will=will).cut()
        watcher.expect(f"{name}/will/{qos}", "gone", min(qos, 1))
        Client(version, name + "polite", will=will).close()
        watcher.publish(f"{name}/will/{qos}", "fence", 1)
        watcher.expect(f"{name}/will/{qos}", "fence", 1)
    watcher.close()


def persistent_session(version, name):
    first = Client(version, name + "s", clean=False, expiry=600)
    assert not first.session_present, "a session that never was"
    first.subscribe(f"{name}/kept/+", 2)
    first.close()
    publisher = Client(version, name + "p")
    # QoS 1 first: paho hands a QoS 2 message over at its PUBREL, after later ones of QoS 1.
    for number in range(20):
        publisher.publish(f"{name}/kept/topic", str(number), 1 + number // 10)
    second = Client(version, name + "s", clean=False, expiry=600)
    # CONNACK of 3.1 has no session present flag.
    assert second.session_present or version == mqtt.MQTTv31, "the session was lost"
    for number in range(20):
        second.expect(f"{name}/kept/topic", str(number), 1 + number // 10)
    second.close()
    third = Client(version, name + "s", clean=True)
    assert not third.session_present, "a clean start kept the session"
    publisher.publish(f"{name}/kept/topic", "to nobody", 1)
    third.subscribe(f"{name}/fence", 0)
    publisher.publish(f"{name}/fence", "fence", 0)
    third.expect(f"{name}/fence", "fence", 0)
    third.close(), publisher.close()


def takeover(version, name):
    first = Client(version, name)
    second = Client(version, name)
    # paho reads the reason only from a DISCONNECT of 3 bytes or more, so 0x8E is checked elsewhere.
    first.ends.get(timeout=DEADLINE_SECONDS)
    second.subscribe(f"{name}/alive", 1)
    second.publish(f"{name}/alive", "yes", 1)
    second.expect(f"{name}/alive", "yes", 1)
    second.close(), first.paho.loop_stop()


def wildcards(version, name):
    matches = {
        "+/a": ["x/a", "/a"],
        "x/#": ["x", "x/a", "x/a/b"],
        "x/+/b": ["x/a/b", "x//b"],
        "+/+": ["x/a", "/a"],
    }
    topics = ["x", "x/a", "x/a/b", "x//b", "/a", "y"]
    publisher = Client(version, name + "p")
    for number, (topic_filter, wanted) in enumerate(matches.items()):
        client = Client(version, f"{name}{number}")
        client.subscribe(f"{name}/{topic_filter}", 1)
        for topic in topics:
            publisher.publish(f"{name}/{topic}", topic_filter, 1)
        got = sorted(client.message().topic for _ in wanted)
        assert got == sorted(f"{name}/{topic}" for topic in wanted), f"{topic_filter}: {got}"
        client.close()
    publisher.close()


def dollar_topics(version, name):
    wide, narrow = Client(version, name + "w"), Client(version, name + "n")
    for topic_filter in ("#", "+/" + name):
        wide.subscribe(topic_filter, 1)
    narrow.subscribe("$interop/#", 1)
    narrow.publish("$interop/" + name, "hidden", 1)
    narrow.expect("$interop/" + name, "hidden", 1)
    narrow.publish("fence/" + name, "fence", 1)
    wide.expect("fence/" + name, "fence", 1)
    wide.close(), narrow.close()


def unsubscribe(version, name):
    client = Client(version, name)
    client.subscribe(f"{name}/t/a", 1)
    client.subscribe(f"{name}/t/fence", 1)
    client.unsubscribe(f"{name}/t/a")
    client.publish(f"{name}/t/a", "unwanted", 1)
    client.publish(f"{name}/t/fence", "fence", 1)
    client.expect(f"{name}/t/fence", "fence", 1)
    client.close()


def keep_alive_answered(version, name):
    """An idle client at a keep alive of one second stays connected: its pings are answered."""
    client = Client(version, name, keep_alive=1)
    end = time.monotonic() + 3
    try:
        reason = client.ends.get(timeout=end - time.monotonic())
        raise AssertionError(f"disconnected: {reason}")
    except queue.Empty:
        client.close()


def v5_properties_pass(version, name):
    client = Client(version, name)
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("a", "1"), ("a", "2"), ("b", "é")]
    properties.ContentType = "text/plain"
    properties.ResponseTopic = f"{name}/reply"
    properties.CorrelationData = b"\x00\x01\xff"
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = 100
    subscribed = Properties(PacketTypes.SUBSCRIBE)
    subscribed.SubscriptionIdentifier = 268_435_455
    client.paho.subscribe([(f"{name}/props", SubscribeOptions(qos=1))], properties=subscribed)
    client.acks.get(timeout=DEADLINE_SECONDS)
    client.publish(f"{name}/props", "text", 1, properties=properties)
    got = client.message().properties
    assert got.UserProperty == properties.UserProperty, got
    assert got.ContentType == "text/plain" and got.ResponseTopic == f"{name}/reply", got
    assert got.CorrelationData == b"\x00\x01\xff" and got.PayloadFormatIndicator == 1, got
    assert 0 < got.MessageExpiryInterval <= 100, got
    assert got.SubscriptionIdentifier == [268_435_455], got
    client.close()


def v5_no_local_and_retain_as_published(version, name):
    client, other = Client(version, name), Client(version, name + "o")
    options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True)
    client.paho.subscribe([(f"{name}/local", options)])
    client.acks.get(timeout=DEADLINE_SECONDS)
    client.publish(f"{name}/local", "own", 1)
    other.publish(f"{name}/local", "other", 1, retain=True)
    client.expect(f"{name}/local", "other", 1, retain=True)
    other.publish(f"{name}/local", "", 1, retain=True)
    client.close(), other.close()


def shared_subscription(version, name):
    members = [Client(version, f"{name}{n}") for n in range(3)]
    publisher = Client(version, f"{name}p")
    inbox = queue.Queue()
    for member in members:
        member.messages = inbox
        member.subscribe(f"$share/group/{name}/job/#", 1)
    for n in range(30):
        publisher.publish(f"{name}/job/{n}", str(n), 1)
    got = [int(inbox.get(timeout=DEADLINE_SECONDS).payload) for n in range(30)]
    assert inbox.empty()
    assert sorted(got) == list(range(30)), got
    for client in [*members, publisher]:
        client.close()


CHECKS = [
    qos_both_ways, order_and_count, many_to_many, large_payload, retained, wills,
    persistent_session, takeover, wildcards, dollar_topics, unsubscribe, keep_alive_answered,
    shared_subscription,
]
V5_CHECKS = [v5_properties_pass, v5_no_local_and_retain_as_published]


def main():
    global over_websocket
    failed = 0
    for label in sys.argv[3:] or VERSIONS:
        checks = CHECKS + (V5_CHECKS if label == "5" else [])
        for way, over_websocket in WAYS.items():
            for check in checks:
                name = f"{check.__name__[:9]}{label[0]}{len(label)}"
                try:
                    check(VERSIONS[label], name)
                    print(f"ok     paho {label} {way} {check.__name__}", flush=True)
                except Exception as error:  # noqa: BLE001: a failure is a line, and the rest still runs
                    failed += 1
                    print(f"FAILED paho {label} {way} {check.__name__}: {error!r}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
