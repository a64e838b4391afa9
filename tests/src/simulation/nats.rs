//! NATS clients that subscribe, publish, ask and leave by chance: what a PONG promises holds, no
//! subscription misses or mistakes a message, one of a queue group gets each, and a request that
//! nobody hears is answered once.

use std::collections::VecDeque;

use ringbus::base::{Nanos, Scheme, Socket};
use ringbus::io::sim::{Chance, Sim};

use super::rest::{Inhabited, check_leaks, narrow_sim};

const SUBJECTS: [&str; 4] = ["chat.a", "chat.b", "x", "deep.down.there"];
/// Patterns, and which of the subjects they match.
const PATTERNS: [(&str, [bool; 4]); 6] = [
    ("chat.a", [true, false, false, false]),
    ("chat.*", [true, true, false, false]),
    (">", [true, true, true, true]),
    ("x", [false, false, true, false]),
    ("deep.>", [false, false, false, true]),
    ("*.down.*", [false, false, false, true]),
];
const CLIENTS_MAX: usize = 10;

/// What a run has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatsReport {
    /// Messages said.
    pub said: usize,
    /// Messages heard, each by each subscription.
    pub heard: usize,
    /// Messages that queue groups got.
    pub shared: usize,
    /// Barriers that came back.
    pub pongs: usize,
    /// Subscriptions that ended by their maximum.
    pub ended: usize,
    /// Requests answered with 503.
    pub unheard: usize,
}

/// A broker and the clients at it.
pub struct NatsClients {
    sim: Sim,
    chance: Chance,
    clients: Vec<Client>,
    said: Vec<Said>,
    names: usize,
    probes: usize,
    /// Probes that are routed, to nobody.
    routed_probes: Vec<usize>,
    report: NatsReport,
}

struct Said {
    subject: usize,
    client: usize,
    /// Its publisher knows that it was routed: it arrives, whatever becomes of the publisher.
    is_routed: bool,
    may_be_lost: bool,
    /// How often the queue group has had it.
    shared: usize,
}

struct Client {
    name: usize,
    socket: Socket,
    received: Vec<u8>,
    subscriptions: Vec<Subscription>,
    /// What each PONG that is to come promises.
    pings: VecDeque<Promise>,
    requests: usize,
    sids: usize,
}

struct Subscription {
    sid: usize,
    pattern: usize,
    is_shared: bool,
    /// How much had been said when it was known to be active.
    active_since: Option<usize>,
    max: Option<usize>,
    /// How many it may have had in all, when the broker had heard of the maximum.
    most: usize,
    /// It was given up, or will end.
    has_left: bool,
    heard: Vec<usize>,
}

#[derive(Default)]
struct Promise {
    active: Vec<usize>,
    over: Vec<usize>,
    routed: Vec<usize>,
    probe: Option<usize>,
}

impl NatsClients {
    /// A broker with nobody there.
    #[must_use]
    pub fn new(seed: u64) -> NatsClients {
        NatsClients {
            sim: narrow_sim(seed),
            chance: Chance::new(seed ^ 0x4A75),
            clients: Vec::new(),
            said: Vec::new(),
            names: 0,
            probes: 0,
            routed_probes: Vec::new(),
            report: NatsReport::default(),
        }
    }

    /// So many things happen; then everybody leaves.
    ///
    /// # Errors
    /// A promise was broken, or the broker keeps something of those who left.
    pub fn run(mut self, operations: usize) -> Result<NatsReport, String> {
        for _ in 0..operations {
            match self.chance.below(24) {
                0 | 1 if self.clients.len() < CLIENTS_MAX => self.open(),
                2 | 3 => self.subscribe(),
                4 => self.unsubscribe(),
                5..=7 => self.ping(),
                8 => self.request(),
                9 => self.probe(),
                10 | 11 => self.freeze(),
                12 if self.chance.percent(30) => self.vanish(),
                _ => self.publish(),
            }
            if self.chance.percent(60) {
                let pause = Nanos(self.chance.below(3_000_000));
                self.pass(pause)?;
            }
        }
        self.settle()?;
        for at in 0..self.clients.len() {
            self.ping_from(at);
        }
        self.settle()?;
        self.check_all()?;
        for client in std::mem::take(&mut self.clients) {
            self.sim.close(client.socket);
        }
        self.settle()?;
        check_leaks(&self.sim)?;
        Ok(self.report)
    }

    fn open(&mut self) {
        let shard = self.chance.index(self.sim.shard_count());
        let socket = self.sim.connect_to(Scheme::Nats, shard, 1 << 20);
        let options = "{\"verbose\":false,\"headers\":true,\"no_responders\":true}";
        self.names += 1;
        let hello = format!("CONNECT {options}\r\nSUB inbox.{}.* 0\r\n", self.names);
        self.sim.send(socket, hello.as_bytes());
        self.clients.push(Client {
            name: self.names,
            socket,
            received: Vec::new(),
            subscriptions: Vec::new(),
            pings: VecDeque::new(),
            requests: 0,
            sids: 0,
        });
    }

    fn any(&mut self) -> Option<usize> {
        let count = self.clients.len();
        (count > 0).then(|| self.chance.index(count))
    }

    fn subscribe(&mut self) {
        let Some(at) = self.any() else { return };
        let is_shared = self.chance.percent(25);
        // One group, whose members stay.
        let pattern = if is_shared {
            1
        } else {
            self.chance.index(PATTERNS.len())
        };
        let client = &mut self.clients[at];
        client.sids += 1;
        let sid = client.sids;
        client.subscriptions.push(Subscription {
            sid,
            pattern,
            is_shared,
            active_since: None,
            max: None,
            most: usize::MAX,
            has_left: false,
            heard: Vec::new(),
        });
        let queue = if is_shared { " team" } else { "" };
        let op = format!("SUB {}{queue} {sid}\r\n", PATTERNS[pattern].0);
        self.sim.send(client.socket, op.as_bytes());
    }

    fn unsubscribe(&mut self) {
        let Some(at) = self.any() else { return };
        let max = self.chance.percent(50).then(|| self.chance.index(9) + 1);
        let client = &mut self.clients[at];
        let mut open = client.subscriptions.iter_mut();
        let Some(one) = open.find(|one| !one.has_left && !one.is_shared) else {
            return;
        };
        one.has_left = true;
        let max = max.map(|more| one.heard.len() + more);
        one.max = max;
        let max = max.map_or_else(String::new, |max| format!(" {max}"));
        let op = format!("UNSUB {}{max}\r\n", one.sid);
        self.sim.send(client.socket, op.as_bytes());
    }

    fn ping(&mut self) {
        if let Some(at) = self.any() {
            self.ping_from(at);
        }
    }

    fn ping_from(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let all = client.subscriptions.iter();
        let active = all.clone().filter(|one| one.active_since.is_none());
        let over = all.filter(|one| one.has_left);
        let said = self.said.iter().enumerate();
        let routed = said.filter(|(_, said)| said.client == client.name && !said.is_routed);
        client.pings.push_back(Promise {
            active: active.map(|one| one.sid).collect(),
            over: over.map(|one| one.sid).collect(),
            routed: routed.map(|(number, _)| number).collect(),
            probe: None,
        });
        self.sim.send(client.socket, b"PING\r\n");
    }

    fn publish(&mut self) {
        let Some(at) = self.any() else { return };
        let subject = self.chance.index(SUBJECTS.len());
        let mut ops = String::new();
        for _ in 0..self.chance.index(6) + 1 {
            let size = *self.chance.pick(&[0, 0, 0, 120, 5_000]);
            let text = format!("{} {}", self.said.len(), "x".repeat(size));
            self.said.push(Said {
                subject,
                client: self.clients[at].name,
                is_routed: false,
                may_be_lost: false,
                shared: 0,
            });
            self.report.said += 1;
            let name = SUBJECTS[subject];
            if self.chance.percent(20) {
                let head = "NATS/1.0\r\nA: b\r\n\r\n";
                let (h, total) = (head.len(), head.len() + text.len());
                ops.push_str(&format!("HPUB {name} {h} {total}\r\n{head}{text}\r\n"));
            } else {
                ops.push_str(&format!("PUB {name} {}\r\n{text}\r\n", text.len()));
            }
        }
        self.sim.send(self.clients[at].socket, ops.as_bytes());
    }

    /// Asks where nobody listens.
    fn request(&mut self) {
        // Whoever listens to everything would hear it.
        let Some(at) = self.any() else { return };
        let client = &mut self.clients[at];
        client.requests += 1;
        let (name, number) = (client.name, client.requests);
        let op = format!("PUB $void.{name} inbox.{name}.{number} 1\r\n?\r\n");
        self.sim.send(client.socket, op.as_bytes());
    }

    /// Says something where nobody listens. Who subscribes there when that was routed hears nothing.
    fn probe(&mut self) {
        let Some(at) = self.any() else { return };
        self.probes += 1;
        let (client, number) = (&mut self.clients[at], self.probes);
        let ops = format!("PUB $probe.{number} 5\r\nprobe\r\nPING\r\n");
        client.pings.push_back(Promise {
            probe: Some(number),
            ..Promise::default()
        });
        self.sim.send(client.socket, ops.as_bytes());
    }

    fn check_probes(&mut self) {
        while let Some(number) = self.routed_probes.pop() {
            let Some(at) = self.any() else { return };
            // No subscription of ours has this name: whatever comes to it is a mistake.
            let op = format!("SUB $probe.{number} probe{number}\r\n");
            self.sim.send(self.clients[at].socket, op.as_bytes());
        }
    }

    fn freeze(&mut self) {
        let shard = self.chance.index(self.sim.shard_count());
        let span = Nanos(self.chance.below(20_000_000));
        self.sim.freeze(shard, span);
    }

    fn vanish(&mut self) {
        let Some(at) = self.any() else { return };
        if self.clients[at]
            .subscriptions
            .iter()
            .any(|one| one.is_shared)
        {
            return;
        }
        let client = self.clients.swap_remove(at);
        self.sim.reset(client.socket);
        for said in &mut self.said {
            said.may_be_lost |= said.client == client.name && !said.is_routed;
        }
    }

    fn listen(&mut self, client: &mut Client) -> Result<(), String> {
        let received = self.sim.receive(client.socket, usize::MAX);
        client.received.extend_from_slice(&received.bytes);
        while let Some((words, payload, length)) = next_line(&client.received)? {
            client.received.drain(..length);
            let words: Vec<&str> = words.split(' ').collect();
            match words[0] {
                "INFO" => {}
                "PONG" => self.keep_promise(client)?,
                "MSG" | "HMSG" if words[2] == "0" => {
                    if payload != "NATS/1.0 503\r\n\r\n" {
                        return Err(format!("client {} was answered {payload:?}", client.name));
                    }
                    client.requests -= 1;
                    self.report.unheard += 1;
                }
                "MSG" | "HMSG" => self.hear(client, words[2], &payload)?,
                _ => return Err(format!("client {} was told {words:?}", client.name)),
            }
        }
        match received.closed {
            true => Err(format!("client {} was closed", client.name)),
            false => Ok(()),
        }
    }

    fn keep_promise(&mut self, client: &mut Client) -> Result<(), String> {
        self.report.pongs += 1;
        let promise = client.pings.pop_front().ok_or("a PONG too many")?;
        for one in &mut client.subscriptions {
            if promise.active.contains(&one.sid) && one.active_since.is_none() {
                one.active_since = Some(self.said.len());
            }
            if promise.over.contains(&one.sid) {
                // More than the maximum came only before that was known.
                let most = one.max.unwrap_or(0).max(one.heard.len());
                one.most = one.most.min(most);
            }
        }
        self.routed_probes.extend(promise.probe);
        for number in promise.routed {
            self.said[number].is_routed = true;
        }
        Ok(())
    }

    fn hear(&mut self, client: &mut Client, sid: &str, payload: &str) -> Result<(), String> {
        if payload == "probe" {
            return Err(format!("{sid} was routed when it was subscribed to"));
        }
        let fail = |what: &str| Err(format!("client {}, sid {sid}: {what}", client.name));
        let sid_number: usize = sid.parse().map_err(|_| "garbled sid".to_owned())?;
        let text = payload.rsplit("\r\n\r\n").next().unwrap_or_default();
        let number = text.split(' ').next().and_then(|text| text.parse().ok());
        let Some(number): Option<usize> = number else {
            return fail(&format!("garbled: {payload:?}"));
        };
        let said = &mut self.said[number];
        let mut all = client.subscriptions.iter_mut();
        let Some(one) = all.find(|one| one.sid == sid_number) else {
            return fail("unknown");
        };
        if !PATTERNS[one.pattern].1[said.subject] {
            return fail("a message that does not match");
        }
        if one.heard.len() >= one.most {
            return fail("a message after its end");
        }
        one.heard.push(number);
        self.report.heard += 1;
        if one.is_shared {
            said.shared += 1;
            self.report.shared += 1;
            return match said.shared {
                1 => Ok(()),
                _ => fail("a message that another of its group had"),
            };
        }
        let (client_of, subject) = (said.client, said.subject);
        let before = one.heard[..one.heard.len() - 1].iter().rev();
        let mut of_same = before.filter(|&&other| {
            let other = &self.said[other];
            other.client == client_of && other.subject == subject
        });
        match of_same.next() {
            Some(&last) if last >= number => fail(&format!("{number} after {last}")),
            _ => Ok(()),
        }
    }

    fn check_all(&mut self) -> Result<(), String> {
        let clients = self.clients.iter();
        let groups = clients.flat_map(|client| &client.subscriptions);
        let groups = groups.filter(|one| one.is_shared);
        let group_since = groups.filter_map(|one| one.active_since).min();
        for (number, said) in self.said.iter().enumerate() {
            let is_due = group_since.is_some_and(|since| number >= since);
            if is_due && PATTERNS[1].1[said.subject] && !said.may_be_lost && said.shared != 1 {
                return Err(format!(
                    "the group had message {number} {} times",
                    said.shared
                ));
            }
        }
        for client in &self.clients {
            if client.requests > 0 {
                let (name, left) = (client.name, client.requests);
                return Err(format!("client {name}: {left} requests without an answer"));
            }
            if !client.pings.is_empty() {
                return Err(format!("client {} waits for a PONG", client.name));
            }
            for one in client.subscriptions.iter().filter(|one| !one.is_shared) {
                self.report.ended += usize::from(one.max == Some(one.heard.len()));
                self.check_subscription(client, one)?;
            }
        }
        Ok(())
    }

    fn check_subscription(&self, client: &Client, one: &Subscription) -> Result<(), String> {
        let has_had_all = one.max.is_some_and(|max| one.heard.len() >= max);
        // What was under way when it gave up it may or may not have had.
        let gave_up = one.has_left && one.max.is_none();
        if has_had_all || gave_up {
            return Ok(());
        }
        let Some(since) = one.active_since else {
            return Err(format!("client {}: {} is not active", client.name, one.sid));
        };
        for (number, said) in self.said.iter().enumerate().skip(since) {
            let is_due = PATTERNS[one.pattern].1[said.subject] && !said.may_be_lost;
            let copies = one.heard.iter().filter(|&&heard| heard == number).count();
            if is_due && copies != 1 {
                return Err(format!(
                    "client {}, sid {} to {}: message {number} of {} came {copies} times; active \
                     since {since}",
                    client.name, one.sid, PATTERNS[one.pattern].0, said.client
                ));
            }
        }
        Ok(())
    }
}

impl Inhabited for NatsClients {
    fn sim(&self) -> &Sim {
        &self.sim
    }

    fn pass(&mut self, span: Nanos) -> Result<(), String> {
        self.sim.run_until(self.sim.now() + span);
        for at in 0..self.clients.len() {
            let mut client = self.clients.swap_remove(at);
            let heard = self.listen(&mut client);
            self.clients.push(client);
            let last = self.clients.len() - 1;
            self.clients.swap(at, last);
            heard?;
        }
        self.check_probes();
        Ok(())
    }

    fn heard(&self) -> usize {
        self.report.heard + self.report.pongs
    }
}

/// The first line, with the headers and payload that belong to it, and the length of both.
fn next_line(bytes: &[u8]) -> Result<Option<(String, String, usize)>, String> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return Ok(None);
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| "garbled".to_owned());
    let line = text(&bytes[..end])?;
    if !line.starts_with("MSG ") && !line.starts_with("HMSG ") {
        return Ok(Some((line, String::new(), end + 2)));
    }
    let length = line.rsplit(' ').next().and_then(|text| text.parse().ok());
    let length: usize = length.ok_or_else(|| format!("garbled: {line}"))?;
    let whole = end + 2 + length + 2;
    if bytes.len() < whole {
        return Ok(None);
    }
    if &bytes[whole - 2..whole] != b"\r\n" {
        return Err(format!("{line}: the payload does not end"));
    }
    let payload = text(&bytes[end + 2..whole - 2])?;
    Ok(Some((line, payload, whole)))
}
