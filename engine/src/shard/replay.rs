//! Retained messages for new subscriptions: the owner walks over current values, a step at a time,
//! whenever the subscriber's home says that there is room.
//!
//! Steps travel in the same queue as live deliveries, so a subscriber never gets an older value
//! after a newer one.

use ringbus_protocols::topic::TopicFilter;

use super::Shard;
use super::message::{Mail, ReplayStart};
use super::owned::Replay;
use super::route::Carried;
use crate::base::limits::{RETAINED_STEP_MAX, RETAINED_STEPS_PER_TURN_MAX};
use crate::base::{Key, SessionId, ShardId};
use crate::mailbox::Class;
use crate::pubsub::Stored;
use crate::session::ReplayRef;

impl Shard {
    /// Asks every owner for the retained messages that a new subscription matches.
    pub(super) fn start_replays(
        &mut self,
        filter: &TopicFilter<'_>,
        local: Key,
        session: SessionId,
    ) {
        let awaits_end = self.awaits_retained(session);
        for owner in self.owners_of(filter) {
            let start = ReplayStart {
                filter: filter.as_str().into(),
                local,
                session,
                awaits_end,
            };
            if owner == self.id {
                self.open_replay(self.id, start);
            } else {
                let mail = Mail::ReplayStart(Box::new(start));
                self.outboxes.control(owner, Class::Publish, mail);
            }
        }
    }

    /// The owner's part: a new walk, to start this turn.
    pub(super) fn open_replay(&mut self, home: ShardId, start: ReplayStart) {
        if self.partition.retained.is_empty() && !start.awaits_end {
            return;
        }
        let replay = Replay {
            home,
            session: start.session,
            local: start.local,
            filter: start.filter,
            after: None,
        };
        let key = self.partition.replays.insert_with(|_| replay);
        self.partition.pulled.push(key);
    }

    /// Steps replays whose subscribers have room, those first that have waited longest.
    pub(super) fn step_replays(&mut self) {
        let mut waiting = std::mem::take(&mut self.partition.pulled);
        let steps = waiting.len().min(RETAINED_STEPS_PER_TURN_MAX);
        for key in waiting.drain(..steps) {
            self.step_replay(key);
        }
        // Behind those that wait still: the next steps of replays that were just stepped.
        waiting.append(&mut self.partition.pulled);
        self.partition.pulled = waiting;
    }

    pub(super) fn has_replay_work(&self) -> bool {
        !self.partition.pulled.is_empty()
    }

    fn step_replay(&mut self, key: Key) {
        let Some(replay) = self.partition.replays.get_mut(key) else {
            return;
        };
        let filter = TopicFilter::parse(&replay.filter).expect("the home parsed it");
        let mut found: Vec<Stored> = Vec::new();
        let now = self.now;
        let after = replay.after.take();
        let next = self.partition.retained.after(
            &filter,
            after.as_deref(),
            RETAINED_STEP_MAX,
            |_, stored| {
                if !stored.message().has_expired(now) {
                    found.push(stored.clone());
                }
            },
        );
        let (home, session, local) = (replay.home, replay.session, replay.local);
        let done = next.is_none();
        replay.after = next;
        if done {
            self.partition.replays.remove(key);
        }
        for stored in &found {
            if home == self.id {
                let message = stored.message();
                let mut carried = Carried::new(message, 0, Some(stored.clone()));
                self.deliver_retained(&mut carried, session, local);
            } else {
                self.outboxes.retained(home, stored, session, local);
            }
        }
        if home == self.id {
            self.on_replay_step(self.id, session, key, done);
        } else {
            let step = Mail::ReplayStep {
                session,
                replay: key,
                done,
            };
            self.outboxes.control(home, Class::Deliver, step);
        }
    }

    /// The home's part: a step is over; the next one waits until there is room.
    pub(super) fn on_replay_step(
        &mut self,
        owner: ShardId,
        session_id: SessionId,
        replay: Key,
        done: bool,
    ) {
        if done {
            self.end_wait_for_retained(session_id);
            return;
        }
        let Some(session) = self.sessions.get_mut(session_id) else {
            self.cancel_replay(ReplayRef { owner, replay });
            return;
        };
        session.rare().replays.push(ReplayRef { owner, replay });
        self.pull_replays(session_id);
    }

    pub(super) fn cancel_replay(&mut self, replay: ReplayRef) {
        if replay.owner == self.id {
            self.partition.replays.remove(replay.replay);
        } else {
            let cancel = Mail::ReplayCancel {
                replay: replay.replay,
            };
            self.outboxes.control(replay.owner, Class::Ack, cancel);
        }
    }

    /// Asks for more if the subscriber has room: half of its bound, so that live messages have the
    /// other. Without a connection nothing needs room: what is not kept is dropped.
    pub(super) fn pull_replays(&mut self, session_id: SessionId) {
        let room = self.config.queue_bytes / 2;
        let Some(session) = self.sessions.get_mut(session_id) else {
            return;
        };
        let waiting = session.conn.and_then(|id| self.connections.get(id));
        let unsent = waiting.map_or(0, super::connection::Connection::queued_bytes);
        let queued = if session.conn.is_some() {
            session.outbound.bytes()
        } else {
            0
        };
        if unsent > room || queued > room {
            return;
        }
        for replay in session.take_replays() {
            if replay.owner == self.id {
                self.partition.pulled.push(replay.replay);
            } else {
                let pull = Mail::ReplayPull {
                    replay: replay.replay,
                };
                self.outboxes.control(replay.owner, Class::Ack, pull);
            }
        }
    }
}
