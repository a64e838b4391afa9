//! `ringbus pub`: publish and wait until all of it is acknowledged.

use super::connection::{Connection, Event};
use super::failure::Failure;
use super::options::{Options, topic_name};
use crate::cli::PubArgs;
use crate::sys;
use ringbus_protocols::mqtt::{Packet, PacketIdentifier, PacketType, Publish, QoS, ReasonCode};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

/// Unacknowledged messages of `-l` at most, whatever the broker allows.
const UNACKNOWLEDGED_MAX: usize = 1024;

/// Bytes collected before they are sent.
const SEND_BYTES: usize = 64 * 1024;

/// Runs `ringbus pub`: exit code 0 if all was sent and, above QoS 0, acknowledged; 1 if not; 2
/// for bad flags.
pub fn pub_command(args: &PubArgs) -> ExitCode {
    match publish(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("pub"),
    }
}

fn publish(args: &PubArgs) -> Result<(), Failure> {
    let options = Options::new("pub", &args.target, &args.session)?;
    let Order { topic, source } = Order::of(args, options.url_topic.as_deref())?;
    sys::stop_on_signals().map_err(Failure::io("cannot take signals"))?;
    let mut publisher = Publisher {
        connection: Connection::open(&options)?,
        topic,
        qos: QoS::try_from(args.qos).expect("the flag allows 0 to 2"),
        retain: args.retain,
        last_id: 0,
        unacknowledged: HashMap::new(),
    };
    match source {
        Source::Once(payload) => {
            publisher.send(&payload)?;
            publisher.wait_for_acknowledgements()?;
        }
        Source::Lines => publisher.send_lines()?,
    }
    publisher.connection.disconnect()
}

/// What to publish where.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    topic: String,
    source: Source,
}

/// Where messages come from.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Once(Vec<u8>),
    Lines,
}

impl Order {
    fn of(args: &PubArgs, url_topic: Option<&str>) -> Result<Self, Failure> {
        let given = args.topic.as_deref().or(url_topic);
        // With a topic from elsewhere, the first word is the message.
        let (topic, word) = match (given, &args.first, &args.second) {
            (Some(_), Some(_), Some(_)) => {
                return Err(Failure::Usage("a topic is given twice".into()));
            }
            (Some(topic), word, None) => (topic, word.as_deref()),
            (None, Some(topic), word) => (topic.as_str(), word.as_deref()),
            (None, None, _) => {
                return Err(Failure::Usage("no topic: ringbus pub TOPIC MESSAGE".into()));
            }
            (Some(_), None, Some(_)) => unreachable!("the second word follows the first"),
        };
        topic_name(topic)?;
        Ok(Self {
            topic: topic.into(),
            source: Source::of(args, word)?,
        })
    }
}

impl Source {
    fn of(args: &PubArgs, word: Option<&str>) -> Result<Self, Failure> {
        let by_flag = args.message.is_some()
            || args.file.is_some()
            || args.stdin_line
            || args.stdin_file
            || args.null_message;
        if by_flag && word.is_some() {
            return Err(Failure::Usage("a message is given twice".into()));
        }
        if let Some(path) = &args.file {
            let cannot = format!("cannot read {}", path.display());
            return std::fs::read(path)
                .map(Self::Once)
                .map_err(Failure::io(cannot));
        }
        if args.stdin_line {
            return Ok(Self::Lines);
        }
        if args.stdin_file {
            let mut payload = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut payload);
            read.map_err(Failure::io("cannot read the standard input"))?;
            return Ok(Self::Once(payload));
        }
        match args.message.as_deref().or(word) {
            Some(text) => Ok(Self::Once(text.into())),
            None if args.null_message => Ok(Self::Once(Vec::new())),
            None => Err(Failure::Usage(
                "no message: -m TEXT, -f PATH, -l, -s or -n".into(),
            )),
        }
    }
}

struct Publisher {
    connection: Connection,
    topic: String,
    qos: QoS,
    retain: bool,
    last_id: u16,
    /// What each message waits for
    unacknowledged: HashMap<PacketIdentifier, PacketType>,
}

impl Publisher {
    /// Appends one message to what is sent next; the caller made sure that there is room.
    fn send(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let packet_identifier = match self.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(self.take_id(PacketType::PubAck)),
            QoS::ExactlyOnce => Some(self.take_id(PacketType::PubRec)),
        };
        let publish = Publish {
            qos: self.qos,
            retain: self.retain,
            topic: &self.topic,
            packet_identifier,
            payload,
            ..Publish::default()
        };
        let version = self.connection.version();
        publish.encode(version, self.connection.out());
        if self.connection.out().len() >= SEND_BYTES {
            self.connection.flush()
        } else {
            Ok(())
        }
    }

    fn take_id(&mut self, awaited: PacketType) -> PacketIdentifier {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let id = PacketIdentifier::new(self.last_id).expect("it starts again at 1");
            if let Entry::Vacant(free) = self.unacknowledged.entry(id) {
                free.insert(awaited);
                return id;
            }
        }
    }

    /// Sends each line of the standard input as it comes, until its end.
    fn send_lines(&mut self) -> Result<(), Failure> {
        let mut lines = Lines::default();
        loop {
            while self.has_room() {
                let Some(line) = lines.next() else { break };
                self.send(&line)?;
            }
            self.connection.flush()?;
            if lines.is_over() {
                return self.wait_for_acknowledgements();
            }
            let stdin = self.has_room().then(|| io::stdin().as_raw_fd());
            match self.connection.wait(stdin, u64::MAX)? {
                Event::Received => self.take_packets()?,
                Event::Other => lines.read().map_err(Failure::io("cannot read lines"))?,
                Event::Interrupted => return self.wait_for_acknowledgements(),
                Event::Deadline => {}
            }
        }
    }

    fn has_room(&self) -> bool {
        let allowed = usize::from(self.connection.receive_maximum()).min(UNACKNOWLEDGED_MAX);
        self.unacknowledged.len() < allowed
    }

    fn wait_for_acknowledgements(&mut self) -> Result<(), Failure> {
        self.connection.flush()?;
        while !self.unacknowledged.is_empty() {
            match self.connection.wait(None, u64::MAX)? {
                Event::Interrupted => return Err(Failure::Interrupted),
                Event::Received => self.take_packets()?,
                Event::Other | Event::Deadline => {}
            }
        }
        Ok(())
    }

    fn take_packets(&mut self) -> Result<(), Failure> {
        while let Some(length) = self.connection.next_length()? {
            let (received, ack) = match self.connection.packet(length)? {
                Packet::PubAck(ack) => (PacketType::PubAck, ack),
                Packet::PubRec(ack) => (PacketType::PubRec, ack),
                Packet::PubComp(ack) => (PacketType::PubComp, ack),
                _ => continue,
            };
            let (id, reason) = (ack.packet_identifier, ack.reason);
            self.acknowledged(received, id, reason)?;
        }
        Ok(())
    }

    fn acknowledged(
        &mut self,
        received: PacketType,
        id: PacketIdentifier,
        reason: ReasonCode,
    ) -> Result<(), Failure> {
        if self.unacknowledged.get(&id) != Some(&received) {
            return Err(Failure::Unexpected(received.name()));
        }
        if reason.is_error() {
            return Err(Failure::Refused("message".into(), reason));
        }
        if received == PacketType::PubRec {
            self.unacknowledged.insert(id, PacketType::PubComp);
            self.connection.push_ack(PacketType::PubRel, id);
        } else {
            self.unacknowledged.remove(&id);
        }
        Ok(())
    }
}

/// The standard input, line by line, read only when it has something.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl Lines {
    /// Reads what is there.
    fn read(&mut self) -> io::Result<()> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        let start = self.bytes.len();
        self.bytes.resize(start + SEND_BYTES, 0);
        let length = sys::read_stdin(&mut self.bytes[start..])?;
        self.bytes.truncate(start + length);
        self.ended = length == 0;
        Ok(())
    }

    /// Nothing is left and nothing will come.
    fn is_over(&self) -> bool {
        self.ended && self.taken == self.bytes.len()
    }
}

impl Iterator for Lines {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let rest = &self.bytes[self.taken..];
        let (line, length) = match rest.iter().position(|&byte| byte == b'\n') {
            Some(end) => (&rest[..end], end + 1),
            // The last line may lack its end.
            None if self.ended && !rest.is_empty() => (rest, rest.len()),
            None => return None,
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
        self.taken += length;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Flags {
        #[command(flatten)]
        args: PubArgs,
    }

    fn order(line: &str) -> Result<Order, Failure> {
        let flags = Flags::parse_from(std::iter::once("pub").chain(line.split_whitespace()));
        Order::of(&flags.args, None)
    }

    fn once(topic: &str, payload: &str) -> Order {
        Order {
            topic: topic.into(),
            source: Source::Once(payload.into()),
        }
    }

    #[test]
    fn words_and_flags_say_the_same() {
        for line in ["a/b hi", "-t a/b -m hi", "-t a/b hi", "a/b -m hi"] {
            assert_eq!(order(line).unwrap(), once("a/b", "hi"), "{line}");
        }
        assert_eq!(order("-n a").unwrap(), once("a", ""));
        assert_eq!(order("-l -t a").unwrap().source, Source::Lines);
    }

    #[test]
    fn what_is_missing_twice_or_no_topic_is_a_usage_error() {
        for line in [
            "",
            "a",
            "-t a",
            "-t a b c",
            "-t a/# -m x",
            "a b -m c",
            "-m x",
        ] {
            assert!(matches!(order(line), Err(Failure::Usage(_))), "{line}");
        }
    }

    #[test]
    fn lines_end_where_the_input_says() {
        let mut lines = Lines {
            bytes: b"one\r\ntwo\n\nlast".to_vec(),
            taken: 0,
            ended: false,
        };
        let three: Vec<_> = lines.by_ref().collect();
        assert_eq!(three, [b"one".to_vec(), b"two".to_vec(), Vec::new()]);
        assert!(!lines.is_over());
        lines.ended = true;
        assert_eq!(lines.next(), Some(b"last".to_vec()));
        assert!(lines.is_over());
    }
}
