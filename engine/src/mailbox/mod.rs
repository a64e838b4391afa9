//! The mail between shards: a mesh of bounded lock-free queues.
//!
//! Each ordered pair of shards has one queue per [`Class`] and a reverse queue that brings empty
//! batches back. An element is a batch, the mail of one turn, so the cost of a queue is paid once per
//! turn and peer.
//!
//! **Order.** Batches of one class from one shard to another arrive in the order they were pushed.
//! Nothing is promised between classes or between senders; what must stay in order (publish, attach,
//! detach and will towards an owner; deliver, marks and retained towards a home) shares a class.
//!
//! **Bounds.** A full queue gives the batch back to its pusher at once. The receiver drains the
//! classes in the order of [`Class::ALL`], and may leave a later class alone while an earlier one
//! has nowhere to go.
//!
//! **Waking.** A push wakes nobody. [`Mailbox::wake_peers`], once per turn, wakes the peers pushed to
//! that sleep; the handshake is in [`SleepFlag`].
//!
//! Memory: N · (N − 1) · 3 · 2 queues of `capacity` elements of `size_of::<B>()` + 8 bytes.

mod sleep;
#[cfg(test)]
mod tests;

pub use sleep::SleepFlag;

use crate::base::ShardId;
use crate::base::limits::SHARDS_MAX;
use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;
use std::sync::Arc;
use std::sync::atomic;

/// What a batch is about; the order of draining.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Class {
    /// Acknowledgements and other answers. They free room elsewhere, so they come first.
    Ack,
    /// From an owner to shards with subscribers. Always drained: it ends in queues with a policy.
    Deliver,
    /// From a publisher's home to an owner. Left alone while deliveries cannot leave.
    Publish,
}

impl Class {
    /// All classes, in the order of draining.
    pub const ALL: [Class; 3] = [Class::Ack, Class::Deliver, Class::Publish];
}

/// Wakes a shard that sleeps in its driver: an eventfd write, a flag in the simulator.
pub trait Wake: Send + Sync {
    /// Called by another shard's thread. May come when the shard is awake already.
    fn wake(&self);
}

/// What a mailbox has done.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct MailCounters {
    /// Batches pushed.
    pub pushes: u64,
    /// Batches refused because the queue was full.
    pub refusals: u64,
    /// Batches popped.
    pub pops: u64,
    /// Peers woken from sleep.
    pub wakes: u64,
}

/// The queues of one class from one shard to another.
struct Link<B> {
    mail: ArrayQueue<B>,
    /// Emptied batches on their way back to the sender.
    empties: ArrayQueue<B>,
}

/// What shards share of each other.
struct Mesh<B> {
    shards: u16,
    /// By sender, then receiver, then class; the diagonal is empty.
    links: Vec<Option<CachePadded<Link<B>>>>,
    peers: Vec<CachePadded<PeerSide>>,
}

struct PeerSide {
    flag: SleepFlag,
    waker: Arc<dyn Wake>,
}

/// One shard's end of the mesh.
pub struct Mailbox<B> {
    shard: ShardId,
    mesh: Arc<Mesh<B>>,
    /// The set of peers pushed to since the last [`Mailbox::wake_peers`], one bit each.
    pushed_to: u64,
    counters: MailCounters,
}

/// The mailboxes of `shards` shards, in order.
///
/// `capacity` is in batches, per ordered pair and class.
///
/// # Panics
/// If there are no shards or more than [`SHARDS_MAX`], `capacity` is 0 or there is not one waker per shard.
pub fn mesh<B: Send>(shards: u16, capacity: usize, wakers: Vec<Arc<dyn Wake>>) -> Vec<Mailbox<B>> {
    assert!(
        (1..=SHARDS_MAX).contains(&shards),
        "a set of shards is one word"
    );
    assert_eq!(
        wakers.len(),
        usize::from(shards),
        "each shard has one waker"
    );
    let link = || {
        let (mail, empties) = (ArrayQueue::new(capacity), ArrayQueue::new(capacity));
        CachePadded::new(Link { mail, empties })
    };
    let pairs = (0..shards).flat_map(|from| (0..shards).map(move |to| (from, to)));
    let links = pairs
        .flat_map(|(from, to)| Class::ALL.map(|_| (from != to).then(link)))
        .collect();
    let peer = |waker| {
        CachePadded::new(PeerSide {
            flag: SleepFlag::default(),
            waker,
        })
    };
    let mesh = Arc::new(Mesh {
        shards,
        links,
        peers: wakers.into_iter().map(peer).collect(),
    });
    (0..shards)
        .map(|shard| Mailbox::new(ShardId(shard), Arc::clone(&mesh)))
        .collect()
}

impl<B> Mesh<B> {
    fn link(&self, from: ShardId, to: ShardId, class: Class) -> &Link<B> {
        let pair = from.index() * usize::from(self.shards) + to.index();
        let link = &self.links[pair * Class::ALL.len() + class as usize];
        link.as_ref().expect("a shard has no mail to itself")
    }
}

impl<B> Mailbox<B> {
    fn new(shard: ShardId, mesh: Arc<Mesh<B>>) -> Mailbox<B> {
        Mailbox {
            shard,
            mesh,
            pushed_to: 0,
            counters: MailCounters::default(),
        }
    }

    /// Whose mailbox it is.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// The number of shards in the mesh.
    pub fn shards(&self) -> u16 {
        self.mesh.shards
    }

    /// The other shards.
    pub fn peers(&self) -> impl Iterator<Item = ShardId> + use<B> {
        let own = self.shard;
        (0..self.mesh.shards)
            .map(ShardId)
            .filter(move |shard| *shard != own)
    }

    /// Sends a batch to another shard. It is woken by the next [`Mailbox::wake_peers`].
    ///
    /// # Errors
    /// The batch back, when the queue is full.
    ///
    /// # Panics
    /// If `to` is this shard.
    pub fn push(&mut self, to: ShardId, class: Class, batch: B) -> Result<(), B> {
        if let Err(batch) = self.mesh.link(self.shard, to, class).mail.push(batch) {
            self.counters.refusals += 1;
            return Err(batch);
        }
        self.counters.pushes += 1;
        self.pushed_to |= 1 << to.0;
        Ok(())
    }

    /// An empty batch that `to` has given back.
    pub fn recycled(&mut self, to: ShardId, class: Class) -> Option<B> {
        self.mesh.link(self.shard, to, class).empties.pop()
    }

    /// The oldest batch of a class from another shard.
    pub fn pop(&mut self, from: ShardId, class: Class) -> Option<B> {
        let batch = self.mesh.link(from, self.shard, class).mail.pop();
        self.counters.pops += u64::from(batch.is_some());
        batch
    }

    /// Returns a batch, emptied by the caller, to the shard it came from. It is dropped when that
    /// shard has enough.
    pub fn give_back(&mut self, from: ShardId, class: Class, batch: B) {
        let surplus = self.mesh.link(from, self.shard, class).empties.push(batch);
        drop(surplus);
    }

    /// Wakes each peer that was pushed to since the last call, if it sleeps.
    pub fn wake_peers(&mut self) {
        if self.pushed_to == 0 {
            return;
        }
        sleep::fence_after_push();
        let mut left = std::mem::take(&mut self.pushed_to);
        while left != 0 {
            let peer = &self.mesh.peers[left.trailing_zeros() as usize];
            left &= left - 1;
            if peer.flag.claim_wake() {
                peer.waker.wake();
                self.counters.wakes += 1;
            }
        }
    }

    /// Announces sleep. `false`: there is mail, do not sleep. `true`: from now on until
    /// [`Mailbox::finish_sleep`], whoever pushes wakes this shard.
    pub fn prepare_sleep(&mut self) -> bool {
        self.own().flag.prepare(|| self.has_mail())
    }

    /// Ends sleep, whatever ended it.
    pub fn finish_sleep(&mut self) {
        self.own().flag.finish();
    }

    /// Whether a batch waits in any class from any shard.
    pub fn has_mail(&self) -> bool {
        let waits = |from, class| !self.mesh.link(from, self.shard, class).mail.is_empty();
        self.peers()
            .any(|from| Class::ALL.iter().any(|class| waits(from, *class)))
    }

    /// Batches this shard has sent in a class that its peer has not popped yet.
    pub fn unread(&self, to: ShardId, class: Class) -> usize {
        self.mesh.link(self.shard, to, class).mail.len()
    }

    /// What it has done so far.
    pub fn counters(&self) -> MailCounters {
        self.counters
    }

    fn own(&self) -> &PeerSide {
        &self.mesh.peers[self.shard.index()]
    }
}
