//! `ringbus sub`: print what arrives.

use super::connection::{Connection, Event};
use super::failure::Failure;
use super::options::{Options, require_v5, topic_filter};
use super::print::Printer;
use crate::cli::SubArgs;
use crate::sys;
use ringbus_protocols::mqtt::{
    Packet, PacketIdentifier, PacketType, Properties, QoS, ReasonCode, RetainHandling, Subscribe,
    SubscribeFilter, Version,
};
use std::collections::HashSet;
use std::io::{self, Write};
use std::process::ExitCode;

/// Runs `ringbus sub`: exit code 0 after `-C` messages or a signal; 1 if the broker refused or
/// ended the connection; 2 for bad flags; 27 after the seconds of `-W`.
pub fn sub_command(args: &SubArgs) -> ExitCode {
    match subscribe(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("sub"),
    }
}

fn subscribe(args: &SubArgs) -> Result<(), Failure> {
    let options = Options::new("sub", &args.target, &args.session)?;
    let filters = filters(args, &options)?;
    sys::stop_on_signals().map_err(Failure::io("cannot take signals"))?;
    let deadline = match args.wait {
        Some(seconds) => sys::now() + seconds.saturating_mul(1_000_000_000).min(u64::MAX / 4),
        None => u64::MAX,
    };
    let mut subscriber = Subscriber {
        connection: Connection::open(&options)?,
        printer: Printer::new(args),
        remaining: args.count.unwrap_or(u64::MAX),
        print_retained: !args.no_retained,
        incomplete: HashSet::new(),
        filters,
    };
    subscriber.ask(args);
    subscriber.run(deadline)?;
    subscriber.connection.disconnect()
}

/// All filters given, in any way.
fn filters(args: &SubArgs, options: &Options) -> Result<Vec<String>, Failure> {
    let given = args
        .topic
        .iter()
        .chain(&args.filters)
        .chain(&options.url_topic);
    let filters: Vec<String> = given.cloned().collect();
    if filters.is_empty() {
        return Err(Failure::Usage("no topic filter: ringbus sub FILTER".into()));
    }
    filters.iter().try_for_each(|filter| topic_filter(filter))?;
    let v5_only = [
        ("--no-local", args.no_local),
        ("--retain-as-published", args.retain_as_published),
        ("--retain-handling", args.retain_handling > 0),
    ];
    for (flag, given) in v5_only {
        if given {
            require_v5(flag, options.version)?;
        }
    }
    Ok(filters)
}

struct Subscriber {
    connection: Connection,
    printer: Printer,
    filters: Vec<String>,
    /// Messages still to print
    remaining: u64,
    print_retained: bool,
    /// QoS 2 messages printed, whose PUBREL has not come
    incomplete: HashSet<PacketIdentifier>,
}

/// What a packet asks for; owned, so that the answer can be written.
enum Step {
    Printed(QoS, Option<PacketIdentifier>),
    Released(PacketIdentifier),
    Nothing,
}

impl Subscriber {
    /// Appends the SUBSCRIBE.
    fn ask(&mut self, args: &SubArgs) {
        let filter = |filter| SubscribeFilter {
            filter,
            qos: QoS::try_from(args.qos).expect("the flag allows 0 to 2"),
            no_local: args.no_local,
            retain_as_published: args.retain_as_published,
            retain_handling: match args.retain_handling {
                0 => RetainHandling::Send,
                1 => RetainHandling::SendIfNew,
                _ => RetainHandling::DoNotSend,
            },
        };
        let filters: Vec<_> = self
            .filters
            .iter()
            .map(|text| filter(text.as_str()))
            .collect();
        let id = PacketIdentifier::new(1).expect("1 is not 0");
        let version = self.connection.version();
        let (properties, out) = (Properties::default(), self.connection.out());
        Subscribe::encode_from(id, &properties, &filters, version, out);
    }

    fn run(&mut self, deadline: u64) -> Result<(), Failure> {
        while self.remaining > 0 || !self.incomplete.is_empty() {
            match self.connection.wait(None, deadline)? {
                Event::Received => self.take_packets()?,
                Event::Deadline => {
                    self.connection.flush()?;
                    return Err(Failure::TimedOut);
                }
                Event::Interrupted => return Ok(()),
                Event::Other => {}
            }
        }
        Ok(())
    }

    fn take_packets(&mut self) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        while let Some(length) = self.connection.next_length()? {
            match self.take(length, &mut out)? {
                Step::Printed(QoS::AtLeastOnce, Some(id)) => {
                    self.connection.push_ack(PacketType::PubAck, id);
                }
                Step::Printed(QoS::ExactlyOnce, Some(id)) => {
                    self.incomplete.insert(id);
                    self.connection.push_ack(PacketType::PubRec, id);
                }
                Step::Released(id) => {
                    self.incomplete.remove(&id);
                    self.connection.push_ack(PacketType::PubComp, id);
                }
                Step::Printed(..) | Step::Nothing => {}
            }
        }
        out.flush().map_err(Failure::io("cannot print"))?;
        self.connection.flush()
    }

    fn take(&mut self, length: usize, out: &mut impl Write) -> Result<Step, Failure> {
        let (version, filters) = (self.connection.version(), &self.filters);
        match self.connection.packet(length)? {
            Packet::SubAck(answer) => check(answer.reasons, filters, version)?,
            Packet::PubRel(ack) => return Ok(Step::Released(ack.packet_identifier)),
            Packet::Publish(message) => {
                let (qos, id) = (message.qos, message.packet_identifier);
                let again = id.is_some_and(|id| self.incomplete.contains(&id));
                if qos == QoS::ExactlyOnce && again {
                    return Ok(Step::Printed(qos, id));
                }
                // Left unacknowledged, so that a kept session gets it next time.
                if self.remaining == 0 {
                    return Ok(Step::Nothing);
                }
                if self.print_retained || !message.retain {
                    self.printer
                        .print(&message, out)
                        .map_err(Failure::io("cannot print"))?;
                    self.remaining -= 1;
                }
                return Ok(Step::Printed(qos, id));
            }
            _ => {}
        }
        Ok(Step::Nothing)
    }
}

/// Fails if a filter was refused.
fn check(reasons: &[u8], filters: &[String], version: Version) -> Result<(), Failure> {
    for (&reason, filter) in reasons.iter().zip(filters) {
        let reason = ReasonCode::try_from(reason).unwrap_or(ReasonCode::UnspecifiedError);
        if reason.is_error() {
            // Before MQTT 5 a broker cannot say why.
            let hint = if version == Version::V5 {
                ""
            } else {
                " (-V 5 may tell why)"
            };
            return Err(Failure::Refused(
                format!("subscription to '{filter}'{hint}"),
                reason,
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Flags {
        #[command(flatten)]
        args: SubArgs,
    }

    fn filters_of(line: &str) -> Result<Vec<String>, Failure> {
        let flags = Flags::parse_from(std::iter::once("sub").chain(line.split_whitespace()));
        let options = Options::new("sub", &flags.args.target, &flags.args.session)?;
        filters(&flags.args, &options)
    }

    #[test]
    fn filters_come_from_words_flags_and_the_url() {
        assert_eq!(filters_of("a -t b/# c").unwrap(), ["b/#", "a", "c"]);
        assert_eq!(filters_of("-L mqtt://h/x/+").unwrap(), ["x/+"]);
    }

    #[test]
    fn bad_filters_and_options_of_a_later_version_are_usage_errors() {
        for line in ["", "a/#/b", "--no-local a", "--retain-handling 2 a"] {
            assert!(matches!(filters_of(line), Err(Failure::Usage(_))), "{line}");
        }
        assert!(filters_of("-V 5 --no-local --retain-handling 2 a").is_ok());
    }

    #[test]
    fn a_refused_filter_is_named_with_its_reason() {
        let filters = ["a".to_string(), "b".to_string()];
        assert!(check(&[0, 2], &filters, Version::V5).is_ok());
        let failure = check(&[0, 0x87], &filters, Version::V5).unwrap_err();
        let text = failure.to_string();
        assert!(
            text.contains("'b'") && text.contains(ReasonCode::NotAuthorized.name()),
            "{text}"
        );
    }
}
