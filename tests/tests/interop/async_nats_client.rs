//! async-nats, on a thread and a runtime of its own, beside an MQTT client on TCP and a bare topic
//! socket, both ways.

use async_nats::{HeaderMap, Message, Request, RequestErrorKind};
use bytes::Bytes;
use futures_util::StreamExt;
use ringbus_protocols::mqtt::{
    Packet, PropertiesBuf, PropertiesIter, Property, Publish, QoS, Version,
};
use ringbus_tests::broker::{Broker, DEADLINE};
use ringbus_tests::client::Client;
use ringbus_tests::web::{BINARY, WebClient};
use std::future::Future;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The thread that async-nats runs on; it ends with this value.
struct Runtime {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Runtime {
    fn start() -> Runtime {
        let (stop, stopped) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let handle = runtime.handle().clone();
        let thread = thread::Builder::new().name("async-nats".to_owned());
        let thread = thread.spawn(move || {
            // An error says that the sender is gone, which ends it as well.
            let _ = runtime.block_on(stopped);
        });
        Runtime {
            handle,
            stop: Some(stop),
            thread: Some(thread.expect("a thread")),
        }
    }

    /// Does something there, and waits for it.
    fn wait<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        self.handle.spawn(async move {
            // Nobody waits if the test failed meanwhile.
            let _ = done.send(work.await);
        });
        result.recv_timeout(DEADLINE).expect("an end in time")
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        drop(self.stop.take());
        let thread = self.thread.take().expect("taken here alone");
        // It panics nowhere, and a second panic would hide the first.
        let _ = thread.join();
    }
}

/// A connected client.
struct Peer<'a> {
    client: async_nats::Client,
    runtime: &'a Runtime,
}

impl<'a> Peer<'a> {
    fn open(runtime: &'a Runtime, broker: &Broker) -> Peer<'a> {
        let url = format!("nats://{}", broker.nats_address());
        let client = runtime.wait(async move { async_nats::connect(url).await });
        let client = client.expect("it is admitted");
        Peer { client, runtime }
    }

    /// Does something with the client, and waits for it.
    fn run<T, F>(&self, work: impl FnOnce(async_nats::Client) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.runtime.wait(work(self.client.clone()))
    }

    fn flush(&self) {
        let flushed = self.run(|client| async move { client.flush().await });
        flushed.expect("it is connected");
        // That only empties its buffer. A message to nobody with an answer is a round trip.
        let lost = self.run(|client| async move { client.request("nobody", Bytes::new()).await });
        assert_eq!(
            lost.expect_err("nobody").kind(),
            RequestErrorKind::NoResponders
        );
    }

    fn publish(&self, subject: &str, payload: &[u8]) {
        self.publish_with(subject, HeaderMap::new(), payload);
    }

    fn publish_with(&self, subject: &str, headers: HeaderMap, payload: &[u8]) {
        let (subject, payload) = (subject.to_owned(), Bytes::copy_from_slice(payload));
        let sent = self.run(|client| async move {
            if headers.is_empty() {
                return client.publish(subject, payload).await;
            }
            client.publish_with_headers(subject, headers, payload).await
        });
        sent.expect("it is connected");
    }

    fn subscribe(&self, subject: &str) -> Receiver<Message> {
        self.subscribe_with(subject, None, None)
    }

    /// The messages of a subscription that is active; their end is its end.
    fn subscribe_with(
        &self,
        subject: &str,
        queue: Option<&str>,
        max: Option<u64>,
    ) -> Receiver<Message> {
        let (subject, queue) = (subject.to_owned(), queue.map(str::to_owned));
        let (heard, messages) = mpsc::channel();
        self.run(|client| async move {
            let subscribed = match queue {
                Some(queue) => client.queue_subscribe(subject, queue).await,
                None => client.subscribe(subject).await,
            };
            let mut subscriber = subscribed.expect("it is connected");
            if let Some(max) = max {
                let limited = subscriber.unsubscribe_after(max).await;
                limited.expect("it is connected");
            }
            tokio::spawn(async move {
                while let Some(message) = subscriber.next().await {
                    // Nobody listens at the end of the test.
                    let _ = heard.send(message);
                }
            });
        });
        self.flush();
        messages
    }

    /// Answers requests in capitals.
    fn answer_loudly(&self, subject: &str) {
        let subject = subject.to_owned();
        self.run(|client| async move {
            let mut requests = client.subscribe(subject).await.expect("it is connected");
            tokio::spawn(async move {
                while let Some(request) = requests.next().await {
                    let loud = request.payload.to_ascii_uppercase();
                    let reply = request.reply.expect("a request");
                    let sent = client.publish(reply, loud.into()).await;
                    sent.expect("it is connected");
                }
            });
        });
        self.flush();
    }

    fn request(&self, subject: &str, request: Request) -> Result<Message, RequestErrorKind> {
        let subject = subject.to_owned();
        let answer = self.run(|client| async move { client.send_request(subject, request).await });
        answer.map_err(|error| error.kind())
    }
}

#[track_caller]
fn expect(messages: &Receiver<Message>, subject: &str, payload: &[u8]) -> Message {
    let message = messages.recv_timeout(DEADLINE).expect("a message in time");
    assert_eq!(message.subject.as_str(), subject);
    assert!(
        message.payload == payload,
        "{} bytes",
        message.payload.len()
    );
    message
}

/// The subscription is over, and nothing came before that.
#[track_caller]
fn expect_end(messages: &Receiver<Message>) {
    let end = messages.recv_timeout(DEADLINE);
    assert!(
        matches!(end, Err(RecvTimeoutError::Disconnected)),
        "{end:?}"
    );
}

/// An MQTT client on TCP that is subscribed.
fn device(broker: &Broker, filter: &str) -> Client {
    let mut client = Client::open(broker, Version::V5, &format!("device of {filter}"));
    client.subscribe(filter, QoS::AtLeastOnce);
    client
}

#[track_caller]
fn expect_mqtt(device: &mut Client, topic: &str, payload: &[u8]) -> Vec<u8> {
    let message = device.message();
    assert_eq!(message.topic, topic);
    assert!(
        message.payload == payload,
        "{} bytes",
        message.payload.len()
    );
    message.properties
}

#[test]
fn payloads_of_any_bytes_all_ways() {
    let broker = Broker::start_nats(&[]);
    let runtime = Runtime::start();
    let peer = Peer::open(&runtime, &broker);
    let mut device = device(&broker, "all/ways");
    let mut bare = WebClient::open(&broker, "/all/ways?echo=0");
    let own = peer.subscribe("all.ways");
    let every_byte: Vec<u8> = (0..=255).collect();
    let mebibyte: Vec<u8> = every_byte.iter().copied().cycle().take(1 << 20).collect();
    for payload in [&every_byte[..], b"", &mebibyte] {
        peer.publish("all.ways", payload);
        expect(&own, "all.ways", payload);
        expect_mqtt(&mut device, "all/ways", payload);
        bare.expect(BINARY, payload);
        device.send_publish("all/ways", payload, QoS::AtMostOnce, false);
        expect(&own, "all.ways", payload);
        expect_mqtt(&mut device, "all/ways", payload);
        bare.expect(BINARY, payload);
        bare.binary(payload);
        expect(&own, "all.ways", payload);
        expect_mqtt(&mut device, "all/ways", payload);
    }
    broker.stop();
}

#[test]
fn wildcards_and_escapes() {
    let broker = Broker::start_nats(&[]);
    let runtime = Runtime::start();
    let peer = Peer::open(&runtime, &broker);
    let mut device = device(&broker, "w/#");
    let (star, all_below) = (peer.subscribe("w.*.temp"), peer.subscribe("w.>"));
    for (topic, payload) in [
        ("w/a/temp", "1"),
        ("w/a/b/temp", "2"),
        ("w", "3"),
        ("w/a b/temp", "4"),
    ] {
        device.publish(topic, payload, QoS::AtLeastOnce, false);
        expect_mqtt(&mut device, topic, payload.as_bytes());
    }
    expect(&all_below, "w.a.temp", b"1");
    expect(&all_below, "w.a.b.temp", b"2");
    expect(&all_below, "w.a%20b.temp", b"4");
    expect(&star, "w.a.temp", b"1");
    expect(&star, "w.a%20b.temp", b"4");
    WebClient::open(&broker, "/w/x/temp").binary("5");
    expect(&star, "w.x.temp", b"5");
    expect_mqtt(&mut device, "w/x/temp", b"5");
    peer.publish("w.y%20z.temp", b"6");
    expect_mqtt(&mut device, "w/y z/temp", b"6");
    broker.stop();
}

/// With MQTT's members in the same group: each message goes to one of all.
#[test]
fn queue_groups() {
    const JOBS: usize = 120;
    let broker = Broker::start_nats(&[]);
    let runtime = Runtime::start();
    let peers = [(); 3].map(|()| Peer::open(&runtime, &broker));
    let groups = peers
        .each_ref()
        .map(|peer| peer.subscribe_with("job.*", Some("team"), None));
    let mut member = device(&broker, "$share/team/job/+");
    let mut bare = WebClient::open(&broker, "/job/bare?echo=0");
    for job in 0..JOBS {
        match job % 2 {
            0 => bare.binary(job.to_string()),
            _ => peers[0].publish("job.nats", job.to_string().as_bytes()),
        }
    }
    let mut done = Vec::new();
    let mut shares = [0; 4];
    while done.len() < JOBS {
        for (at, messages) in groups.iter().enumerate() {
            while let Ok(message) = messages.try_recv() {
                done.push(message.payload.to_vec());
                shares[at] += 1;
            }
        }
        // A round trip brings what came by then.
        while let Some(received) = member.receive_within(std::time::Duration::from_millis(1)) {
            let message = received.message();
            member.acknowledge(&message);
            done.push(message.payload);
            shares[3] += 1;
        }
        peers.iter().for_each(Peer::flush);
    }
    let mut expected: Vec<_> = (0..JOBS).map(|job| job.to_string().into_bytes()).collect();
    done.sort();
    expected.sort();
    assert!(done == expected, "not each job once");
    assert!(shares.iter().all(|&share| share > 0), "{shares:?}");
    broker.stop();
}

#[test]
fn requests_and_replies() {
    let broker = Broker::start_nats(&[]);
    let runtime = Runtime::start();
    let (peer, helper) = (Peer::open(&runtime, &broker), Peer::open(&runtime, &broker));
    helper.answer_loudly("loud.*");
    for text in ["one", "two"] {
        let answer = peer.request("loud.x", Request::new().payload(text.into()));
        assert_eq!(answer.expect("an answer").payload, text.to_uppercase());
    }
    let lost = peer.request("nobody.there", Request::new());
    assert_eq!(lost.err(), Some(RequestErrorKind::NoResponders));
    // An MQTT client asks; its response topic is the reply.
    let mut device = device(&broker, "answers/device");
    let mut properties = PropertiesBuf::new();
    properties.push(Property::ResponseTopic("answers/device"));
    device.send(&Packet::Publish(Publish {
        topic: "loud/mqtt",
        payload: b"device",
        properties: properties.as_properties(),
        ..Publish::default()
    }));
    expect_mqtt(&mut device, "answers/device", b"DEVICE");
    broker.stop();
}

#[test]
fn headers_both_ways_and_what_is_retained() {
    let broker = Broker::start_nats(&[]);
    let runtime = Runtime::start();
    let peer = Peer::open(&runtime, &broker);
    let mut device = device(&broker, "h/t");
    let own = peer.subscribe("h.t");
    let mut headers = HeaderMap::new();
    headers.insert("Colour", "red");
    headers.insert("Content-Type", "text/plain");
    headers.insert("Mqtt-Retain", "1");
    peer.publish_with("h.t", headers, b"1");
    let echoed = expect(&own, "h.t", b"1").headers.expect("headers");
    assert_eq!(
        echoed.get("Colour").map(|value| value.as_str()),
        Some("red")
    );
    let properties = expect_mqtt(&mut device, "h/t", b"1");
    let properties: Vec<_> = PropertiesIter::new(&properties).collect();
    assert!(
        properties.contains(&Property::ContentType("text/plain")),
        "{properties:?}"
    );
    assert!(
        properties.contains(&Property::UserProperty(("Colour", "red"))),
        "{properties:?}"
    );
    let late = peer.subscribe("h.*");
    let kept = expect(&late, "h.t", b"1").headers.expect("headers");
    assert_eq!(
        kept.get("Mqtt-Retain").map(|value| value.as_str()),
        Some("1")
    );
    let mut properties = PropertiesBuf::new();
    properties.push(Property::UserProperty(("Shape", "round")));
    device.send(&Packet::Publish(Publish {
        topic: "h/t",
        payload: b"2",
        properties: properties.as_properties(),
        ..Publish::default()
    }));
    let headers = expect(&own, "h.t", b"2").headers.expect("headers");
    assert_eq!(
        headers.get("Shape").map(|value| value.as_str()),
        Some("round")
    );
    assert_eq!(headers.len(), 1, "{headers:?}");
    broker.stop();
}

#[test]
fn a_stored_message_is_acknowledged() {
    let broker = Broker::start_nats(&[]);
    let runtime = Runtime::start();
    let peer = Peer::open(&runtime, &broker);
    let mut device = device(&broker, "keep/t");
    for number in 0..8 {
        let mut headers = HeaderMap::new();
        headers.insert("Mqtt-QoS", "1");
        let payload = number.to_string();
        let request = Request::new()
            .headers(headers)
            .payload(payload.clone().into());
        let answer = peer.request("keep.t", request).expect("an answer");
        assert_eq!(answer.payload, "+OK");
        device.expect("keep/t", &payload, QoS::AtLeastOnce, false);
    }
    broker.stop();
}

#[test]
fn unsubscribing_after_some_and_draining() {
    let broker = Broker::start_nats(&[]);
    let runtime = Runtime::start();
    let peer = Peer::open(&runtime, &broker);
    let mut device = device(&broker, "other");
    let limited = peer.subscribe_with("some.t", None, Some(3));
    let all = peer.subscribe("some.t");
    for number in 0..6 {
        device.publish("some/t", &number.to_string(), QoS::AtLeastOnce, false);
    }
    for number in 0..6 {
        let payload = number.to_string();
        expect(&all, "some.t", payload.as_bytes());
        if number < 3 {
            expect(&limited, "some.t", payload.as_bytes());
        }
    }
    expect_end(&limited);
    let drained = peer.run(|client| async move { client.drain().await });
    drained.expect("it is connected");
    assert!(
        all.recv_timeout(DEADLINE).is_err(),
        "a message of the drain"
    );
    broker.stop();
}
