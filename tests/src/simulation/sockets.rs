//! Sockets of topics that chat: by chance they come, speak, close and vanish, and none of them
//! misses or mistakes what was said while it was there.

use std::collections::BTreeMap;

use ringbus::base::{Nanos, Scheme, Socket};
use ringbus::io::sim::{Chance, Sim};
use ringbus_protocols::websocket::Kind;

use super::rest::{Inhabited, check_leaks, narrow_sim};
use super::web_end::WebEnd;

const TOPICS: [&str; 3] = ["chat/a", "chat/b", "x"];
const TALKERS_MAX: usize = 12;

/// What a run has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketsReport {
    /// Sockets that were opened.
    pub opened: usize,
    /// Messages said.
    pub said: usize,
    /// Messages heard, each by each.
    pub heard: usize,
    /// Sockets that were closed in order, with everything they had said come back.
    pub closed: usize,
}

/// A broker and the sockets at it.
pub struct Sockets {
    sim: Sim,
    chance: Chance,
    talkers: Vec<Talker>,
    /// Messages said so far, of all topics.
    said: Vec<Said>,
    names: usize,
    report: SocketsReport,
}

struct Said {
    topic: usize,
    talker: usize,
    kind: Kind,
    /// Whether its way could be cut off by a reset.
    may_be_lost: bool,
}

struct Talker {
    name: usize,
    topic: usize,
    echo: bool,
    socket: Socket,
    web: WebEnd,
    /// How much had been said when it knew that it was open.
    open_since: Option<usize>,
    /// How much had been said when it stopped speaking.
    silent_since: Option<usize>,
    /// What it has heard: the number of the message, in order.
    heard: Vec<usize>,
}

impl Sockets {
    /// A broker with nobody there.
    #[must_use]
    pub fn new(seed: u64) -> Sockets {
        Sockets {
            sim: narrow_sim(seed),
            chance: Chance::new(seed ^ 0x50CC),
            talkers: Vec::new(),
            said: Vec::new(),
            names: 0,
            report: SocketsReport::default(),
        }
    }

    /// So many things happen; then everybody leaves.
    ///
    /// # Errors
    /// Somebody missed something, heard it twice, in another order or in another form; or the
    /// broker keeps something of those who left.
    pub fn run(mut self, operations: usize) -> Result<SocketsReport, String> {
        for _ in 0..operations {
            match self.chance.below(20) {
                0 if self.talkers.len() < TALKERS_MAX => self.open(),
                1 => self.close()?,
                2 => self.vanish(),
                3..=5 => self.freeze(),
                _ => self.speak(),
            }
            if self.chance.percent(60) {
                let pause = Nanos(self.chance.below(3_000_000));
                self.pass(pause)?;
            }
        }
        self.settle()?;
        for talker in &self.talkers {
            let unread = self.sim.unsent(talker.socket);
            if unread > 0 {
                return Err(format!("{unread} bytes of {} are not read", talker.name));
            }
            talker.check_all(&self.said)?;
        }
        while !self.talkers.is_empty() {
            self.close()?;
        }
        self.settle()?;
        check_leaks(&self.sim)?;
        Ok(self.report)
    }

    fn open(&mut self) {
        let shard = self.chance.index(self.sim.shard_count());
        let topic = self.chance.index(TOPICS.len());
        let echo = self.chance.percent(70);
        // Wide enough that what was sent last arrives while the broker waits for it.
        let window = *self.chance.pick(&[1 << 16, 1 << 20]);
        let socket = self.sim.connect_to(Scheme::Ws, shard, window);
        let target = format!("/{}?echo={}", TOPICS[topic], u8::from(echo));
        let seed = self.chance.draw();
        self.names += 1;
        self.report.opened += 1;
        self.talkers.push(Talker {
            name: self.names,
            topic,
            echo,
            socket,
            web: WebEnd::open(&mut self.sim, socket, seed, &target, None),
            open_since: None,
            silent_since: None,
            heard: Vec::new(),
        });
    }

    fn speak(&mut self) {
        if self.talkers.is_empty() {
            return;
        }
        let at = self.chance.index(self.talkers.len());
        let talker = &mut self.talkers[at];
        if !talker.web.is_open() {
            return;
        }
        let kind = *self.chance.pick(&[Kind::Text, Kind::Binary]);
        // Long ones are rare: a network that takes 40 bytes at a time is slow.
        let long = if self.chance.percent(3) { 5_000 } else { 20 };
        let size = *self.chance.pick(&[0, 10, 120, long]);
        let text = format!("{} {}", self.said.len(), "x".repeat(size));
        self.said.push(Said {
            topic: talker.topic,
            talker: talker.name,
            kind,
            may_be_lost: false,
        });
        self.report.said += 1;
        talker
            .web
            .send_message(&mut self.sim, kind, text.as_bytes());
    }

    /// One closes in order: what it said before comes back before the end.
    fn close(&mut self) -> Result<(), String> {
        if self.talkers.is_empty() {
            return Ok(());
        }
        let at = self.chance.index(self.talkers.len());
        let mut talker = self.talkers.swap_remove(at);
        if !talker.web.is_open() {
            self.sim.reset(talker.socket);
            return Ok(());
        }
        talker.silent_since = Some(self.said.len());
        talker.web.send_close(&mut self.sim);
        for _ in 0..100_000 {
            if talker.listen(&mut self.sim, &self.said, &mut self.report)? {
                self.sim.close(talker.socket);
                self.report.closed += 1;
                if talker.web.closed_with.is_none() {
                    return Err(format!("socket {}: no Close frame", talker.name));
                }
                return talker.check_own(&self.said);
            }
            self.pass(Nanos::from_millis(1))?;
        }
        Err(format!("socket {} is not closed", talker.name))
    }

    /// A shard stands still, so that mailboxes fill.
    fn freeze(&mut self) {
        let shard = self.chance.index(self.sim.shard_count());
        let span = Nanos(self.chance.below(20_000_000));
        self.sim.freeze(shard, span);
    }

    fn vanish(&mut self) {
        if self.talkers.len() > 2 {
            let at = self.chance.index(self.talkers.len());
            let talker = self.talkers.swap_remove(at);
            self.sim.reset(talker.socket);
            for said in &mut self.said {
                said.may_be_lost |= said.talker == talker.name;
            }
        }
    }
}

impl Inhabited for Sockets {
    fn sim(&self) -> &Sim {
        &self.sim
    }

    fn pass(&mut self, span: Nanos) -> Result<(), String> {
        self.sim.run_until(self.sim.now() + span);
        for talker in &mut self.talkers {
            if talker.listen(&mut self.sim, &self.said, &mut self.report)? {
                return Err(format!("socket {} was closed by the broker", talker.name));
            }
        }
        Ok(())
    }

    fn heard(&self) -> usize {
        self.report.heard
    }
}

impl Talker {
    /// Reads what came. True if the broker has ended the connection.
    fn listen(
        &mut self,
        sim: &mut Sim,
        said: &[Said],
        report: &mut SocketsReport,
    ) -> Result<bool, String> {
        let received = sim.receive(self.socket, usize::MAX);
        self.web.receive(sim, &received.bytes)?;
        if self.web.is_open() && self.open_since.is_none() {
            self.open_since = Some(said.len());
        }
        for (kind, message) in std::mem::take(&mut self.web.messages) {
            report.heard += 1;
            let text = String::from_utf8(message).map_err(|_| "garbled".to_owned())?;
            let number = text
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok());
            let number: usize = number.ok_or_else(|| format!("garbled: {text:?}"))?;
            self.hear(said, number, kind)?;
        }
        Ok(received.closed)
    }

    fn hear(&mut self, said: &[Said], number: usize, kind: Kind) -> Result<(), String> {
        let message = &said[number];
        if message.topic != self.topic || message.kind != kind {
            return Err(format!(
                "socket {}: message {number} is not for it",
                self.name
            ));
        }
        if message.talker == self.name && !self.echo {
            return Err(format!("socket {}: its own came back", self.name));
        }
        let mut before = self.heard.iter().rev();
        let last = before.find(|&&other| said[other].talker == message.talker);
        if last.is_some_and(|&last| last >= number) {
            return Err(format!("socket {}: {number} after {last:?}", self.name));
        }
        self.heard.push(number);
        Ok(())
    }

    /// All that was said on its topic since it was open, by those who are to be heard.
    fn check_all(&self, said: &[Said]) -> Result<(), String> {
        self.check(said, |message| message.talker != self.name || self.echo)
    }

    /// All that it said itself.
    fn check_own(&self, said: &[Said]) -> Result<(), String> {
        self.check(said, |message| message.talker == self.name && self.echo)
    }

    fn check(&self, said: &[Said], counts: impl Fn(&Said) -> bool) -> Result<(), String> {
        let Some(since) = self.open_since else {
            return Ok(());
        };
        let until = self.silent_since.unwrap_or(said.len());
        let mut heard = BTreeMap::new();
        for &number in &self.heard {
            *heard.entry(number).or_insert(0) += 1;
        }
        for (number, message) in said.iter().enumerate().take(until).skip(since) {
            let is_due = message.topic == self.topic && !message.may_be_lost && counts(message);
            if is_due && heard.get(&number) != Some(&1) {
                return Err(format!(
                    "socket {} missed message {number} of {}; open since {since}, last heard {:?} of {until}, closed with {:?}",
                    self.name,
                    message.talker,
                    self.heard.last(),
                    self.web.closed_with
                ));
            }
        }
        Ok(())
    }
}
