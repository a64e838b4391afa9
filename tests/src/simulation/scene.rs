//! A few clients, the shards and a clock that a test turns: what the specifications say about time,
//! without waiting for it.

use std::cell::{Cell, RefCell};
use std::io::{Error, ErrorKind, Result};
use std::rc::Rc;

use ringbus::base::{Nanos, Socket};
use ringbus::io::sim::{Faults, Sim};
use ringbus::shard::ShardConfig;
use ringbus_protocols::mqtt::Version;

use super::plan::Plan;
use crate::client::{self, Hello, Wire};

/// A client of a scene: it does and expects what one of the program does.
pub type Actor = client::Client<SimWire>;

/// A client believes that nothing comes after so much virtual time: more than any delay, less than
/// any interval of the protocol.
const PATIENCE: Nanos = Nanos::from_millis(300);
/// Whatever is under way arrives within this.
const MOMENT: Nanos = Nanos::from_millis(10);
/// How much time passes at once while a client waits: the simulator does not stop for what arrives
/// at a client.
const SLICE: Nanos = Nanos::from_micros(10);
const WINDOW_BYTES: usize = 1 << 24;

/// A broker under a virtual clock.
pub struct Scene {
    sim: Rc<RefCell<Sim>>,
    config: ShardConfig,
    /// The shard that accepts the next connection: each in turn.
    next_shard: Cell<usize>,
}

/// Plays a test with 1, 2 and 4 shards.
pub fn play(test: impl Fn(&Scene)) {
    play_with(|_| {}, test);
}

/// As [`play`], with another configuration.
pub fn play_with(change: impl Fn(&mut ShardConfig), test: impl Fn(&Scene)) {
    for shards in [1, 2, 4] {
        test(&Scene::new(shards, &change));
    }
}

impl Scene {
    fn new(shards: u16, change: impl Fn(&mut ShardConfig)) -> Scene {
        let plan = Plan {
            shards,
            queue_bytes: 8 << 20,
            ..Plan::new(u64::from(shards))
        };
        let mut config = ShardConfig {
            receive_maximum: u16::MAX,
            ..plan.shard_config()
        };
        change(&mut config);
        let faults = Faults {
            delay_max: Nanos::from_micros(100),
            turn_max: Nanos::from_micros(1),
            ..Faults::default()
        };
        Scene {
            sim: Rc::new(RefCell::new(Sim::new(config.clone(), 8, faults, plan.seed))),
            config,
            next_shard: Cell::new(0),
        }
    }

    /// A connection on which nothing was said yet.
    pub fn raw(&self, version: Version) -> Actor {
        let shard = self.next_shard.get() % usize::from(self.config.shards);
        self.next_shard.set(shard + 1);
        self.raw_at(shard, version)
    }

    fn raw_at(&self, shard: usize, version: Version) -> Actor {
        let wire = SimWire {
            socket: self.sim.borrow_mut().connect(shard, WINDOW_BYTES),
            sim: Rc::clone(&self.sim),
        };
        Actor::over(wire, version)
    }

    /// Connects with a clean session and no keep alive.
    pub fn open(&self, version: Version, client_id: &str) -> Actor {
        self.hello(&Hello::new(version, client_id)).0
    }

    /// Connects as said; also returns session present.
    pub fn hello(&self, hello: &Hello) -> (Actor, bool) {
        greet(self.raw(hello.version), hello)
    }

    /// As [`Scene::hello`], accepted by the shard where the client belongs.
    pub fn hello_at_home(&self, hello: &Hello) -> (Actor, bool) {
        let home = self.home_of(&hello.client_id);
        greet(self.raw_at(home, hello.version), hello)
    }

    /// Whether a session of that client is there. It is asked for with the same CONNECT as before
    /// and left again in order.
    pub fn has_session(&self, hello: &Hello) -> bool {
        let (actor, present) = self.hello(hello);
        actor.disconnect();
        present
    }

    /// Time passes. Nobody sends anything meanwhile.
    pub fn pass(&self, duration: Nanos) {
        let mut sim = self.sim.borrow_mut();
        let end = sim.now() + duration;
        sim.run_until(end);
    }

    /// Seconds pass.
    pub fn pass_seconds(&self, seconds: u64) {
        self.pass(Nanos::from_secs(seconds));
    }

    /// How much virtual time something takes.
    pub fn time_of(&self, something: impl FnOnce()) -> Nanos {
        let began = self.sim.borrow().now();
        something();
        self.sim.borrow().now() - began
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.config.shards
    }

    /// The shard that owns a topic stands still.
    pub fn freeze_owner_of(&self, topic: &str, duration: Nanos) {
        self.sim.borrow_mut().freeze(self.owner_of(topic), duration);
    }

    /// The home of a client stands still.
    pub fn freeze_home_of(&self, client_id: &str, duration: Nanos) {
        let home = self.home_of(client_id);
        self.sim.borrow_mut().freeze(home, duration);
    }

    /// Whether the shard that owns a topic is the home of a client.
    #[must_use]
    pub fn is_owned_at_home(&self, topic: &str, client_id: &str) -> bool {
        self.owner_of(topic) == self.home_of(client_id)
    }

    fn owner_of(&self, topic: &str) -> usize {
        usize::from(self.config.partitioner.owner(topic).0)
    }

    fn home_of(&self, client_id: &str) -> usize {
        let home = self.config.hasher.hash_one(client_id) % u64::from(self.config.shards);
        usize::try_from(home).expect("a shard")
    }
}

fn greet(mut actor: Actor, hello: &Hello) -> (Actor, bool) {
    actor.send_bytes(&hello.encode());
    let present = actor.connected(|connack| connack.session_present);
    (actor, present)
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let thread = std::thread::current();
            // With a single test thread it is not named after the test.
            let test = thread.name().filter(|name| *name != "main");
            eprintln!(
                "with {} shards\nreplay: cargo test -p ringbus-tests --test simulation {}",
                self.config.shards,
                test.unwrap_or_default()
            );
        }
    }
}

/// A connection of a [`Scene`].
pub struct SimWire {
    sim: Rc<RefCell<Sim>>,
    socket: Socket,
}

impl Wire for SimWire {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.sim.borrow_mut().send(self.socket, bytes);
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut sim = self.sim.borrow_mut();
        let end = sim.now() + PATIENCE;
        while !sim.has_news(self.socket) {
            if sim.now() >= end {
                return Err(Error::new(ErrorKind::TimedOut, format!("in {PATIENCE:?}")));
            }
            let slice = sim.now() + SLICE;
            sim.step(slice);
        }
        let received = sim.receive(self.socket, buffer.len());
        buffer[..received.bytes.len()].copy_from_slice(&received.bytes);
        Ok(received.bytes.len())
    }

    fn finish_sending(&mut self) {
        self.sim.borrow_mut().close(self.socket);
    }

    fn cut(&mut self) {
        self.finish_sending();
        self.settle();
    }

    fn settle(&mut self) {
        let mut sim = self.sim.borrow_mut();
        let end = sim.now() + MOMENT;
        while sim.is_busy() && sim.now() < end {
            sim.step(end);
        }
    }
}

impl Drop for SimWire {
    fn drop(&mut self) {
        // It is in use when a shard has panicked.
        if let Ok(mut sim) = self.sim.try_borrow_mut() {
            sim.close(self.socket);
        }
    }
}
