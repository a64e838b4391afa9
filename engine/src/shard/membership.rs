//! Who belongs to a shared subscription here, who of them is connected, and what happens to the
//! messages of those who leave.

use super::Shard;
use super::message::{Assignment, GroupMembers, Mail};
use super::outbox::Record;
use super::route::Carried;
use crate::base::{Key, SessionId, ShardId};
use crate::config::SharedStrategy;
use crate::mailbox::Class;
use crate::pubsub::shared::{Attempt, Elsewhere, Members};
use crate::session::{Delivery, GroupRef};
use ringbus_protocols::topic::TopicFilter;

/// Members whose load stands for that of all.
const MEMBERS_WEIGHED_MAX: usize = 256;

impl Shard {
    /// A session has its connection: its places in shared subscriptions count.
    pub(super) fn members_came(&mut self, session: SessionId) {
        let Some(held) = self.sessions.get(session) else {
            return;
        };
        for local in held.shared().to_vec() {
            self.member_came(session, local);
        }
    }

    /// A member is connected, or a connected client has become a member.
    pub(super) fn member_came(&mut self, session: SessionId, local: Key) {
        let position = self
            .sessions
            .get(session)
            .and_then(|held| held.subscriptions.get(local));
        let Some(position) = position else { return };
        let Some(members) = self.members_of(local) else {
            return;
        };
        let online = members.online;
        if position < online {
            return;
        }
        members.online += 1;
        self.swap_members(local, position, online);
        self.tell_members(local);
        if online == 0 {
            self.release_absent(local, None);
        }
    }

    /// A session has lost its connection. Unless it ends now, what it leaves behind waits for it
    /// or, where others are connected, goes to them.
    pub(super) fn members_left(&mut self, session: SessionId, ends: bool) {
        let Some(held) = self.sessions.get(session) else {
            return;
        };
        for local in held.shared().to_vec() {
            self.member_left(session, local);
        }
        if !ends {
            self.release(session, |shard, group| shard.has_others(group));
        }
    }

    /// A member is not connected any more. Returns its new position.
    pub(super) fn member_left(&mut self, session: SessionId, local: Key) -> Option<u32> {
        let position = self.sessions.get(session)?.subscriptions.get(local)?;
        self.retire(local, position)
    }

    /// The member at that position stops being one of those that are connected.
    pub(super) fn retire(&mut self, local: Key, position: u32) -> Option<u32> {
        let members = self.members_of(local)?;
        if position >= members.online {
            return Some(position);
        }
        members.online -= 1;
        let last = members.online;
        self.swap_members(local, position, last);
        self.tell_members(local);
        Some(last)
    }

    fn members_of(&mut self, local: Key) -> Option<&mut super::filters::LocalMembers> {
        self.filters.get_mut(local)?.shared.as_deref_mut()
    }

    fn swap_members(&mut self, local: Key, one: u32, other: u32) {
        if one == other {
            return;
        }
        let Some(filter) = self.filters.get_mut(local) else {
            return;
        };
        filter.subscribers.swap(one as usize, other as usize);
        for position in [one, other] {
            let session = filter.subscribers[position as usize].session;
            if let Some(held) = self.sessions.get_mut(session)
                && held.subscriptions.get(local).is_some()
            {
                held.subscriptions.insert(local, position);
            }
        }
    }

    /// Whether a message of that group has somebody else to go to at once.
    pub(super) fn has_others(&self, group: &GroupRef) -> bool {
        let filter = self.filters.get(group.local);
        let members = filter.and_then(|filter| filter.shared.as_deref());
        members.is_some_and(|members| {
            members.online > 0 || members.elsewhere & 1 << group.owner.0 != 0
        })
    }

    /// Gives away what a session without a connection holds of the groups that `may_go`.
    pub(super) fn release(
        &mut self,
        session: SessionId,
        may_go: impl Fn(&Self, &GroupRef) -> bool,
    ) {
        let Some(held) = self.sessions.get_mut(session) else {
            return;
        };
        assert!(held.conn.is_none(), "what is under way stays");
        if held.outbound.shared() == 0 {
            return;
        }
        let mut outbound = std::mem::take(&mut held.outbound);
        let released = outbound.take_shared(|group| may_go(self, group));
        if let Some(held) = self.sessions.get_mut(session) {
            held.outbound = outbound;
        }
        for delivery in released {
            self.give_back(&delivery);
        }
    }

    /// A message goes back to its owner, for somebody else.
    fn give_back(&mut self, delivery: &Delivery) {
        let Some(GroupRef {
            owner,
            group,
            local,
        }) = delivery.group
        else {
            return;
        };
        let attempt = Attempt::default();
        if owner == self.id {
            let message = delivery.stored.message();
            let mut carried = Carried::new(message, 0, Some(delivery.stored.clone()));
            self.assign(&mut carried, group, attempt);
            return;
        }
        let assignment = Assignment {
            group,
            local,
            attempt,
        };
        let record = Record::Alone(&delivery.stored);
        self.outboxes.shared(owner, Class::Ack, record, assignment);
    }

    /// Somebody is connected where nobody was: those who are not give away what they hold.
    fn release_absent(&mut self, local: Key, owner: Option<ShardId>) {
        let Some(filter) = self.filters.get(local) else {
            return;
        };
        let Some(members) = filter.shared.as_deref() else {
            return;
        };
        let absent = &filter.subscribers[members.online as usize..];
        let absent: Vec<SessionId> = absent.iter().map(|member| member.session).collect();
        for session in absent {
            self.release(session, |_, group| {
                group.local == local && owner.is_none_or(|owner| owner == group.owner)
            });
        }
    }

    /// An owner says whether other shards have members that are connected.
    pub(super) fn on_elsewhere(&mut self, owner: ShardId, local: Key, online: bool) {
        let Some(members) = self.members_of(local) else {
            return;
        };
        members.elsewhere &= !(1 << owner.0);
        members.elsewhere |= u64::from(online) << owner.0;
        if online && members.online == 0 {
            self.release_absent(local, Some(owner));
        }
    }

    /// A shard has its first member of a group, if the filter is one of a shared subscription.
    #[inline]
    pub(super) fn note_attached(&mut self, from: ShardId, local: Key) {
        if self.partition.groups.is_empty() {
            return;
        }
        let members = Members {
            online: 1,
            all: 1,
            inflight: 0,
        };
        self.on_group_members(from, local, members);
    }

    /// A shard says what has become of its members.
    pub(super) fn on_group_members(&mut self, from: ShardId, local: Key, members: Members) {
        let mut changed = Vec::new();
        self.partition
            .groups
            .update(from, local, members, &mut changed);
        for Elsewhere {
            home,
            local,
            online,
        } in changed
        {
            if home == self.id {
                self.on_elsewhere(self.id, local, online);
            } else {
                let mail = Mail::GroupElsewhere { local, online };
                self.outboxes.control(home, Class::Ack, mail);
            }
        }
    }

    /// Tells the owners of a shared filter what has become of its members here.
    pub(super) fn tell_members(&mut self, local: Key) {
        let Some(filter) = self.filters.get(local) else {
            return;
        };
        let filter = TopicFilter::parse(&filter.name).expect("SUBSCRIBE is checked");
        let owners = self.owners_of(&filter);
        for owner in owners {
            self.tell_members_to(owner, local);
        }
    }

    /// Tells one owner. If it does not know the filter yet it takes no notice, and is told again
    /// once it does.
    pub(super) fn tell_members_to(&mut self, owner: ShardId, local: Key) {
        let Some(members) = self.local_members(local) else {
            return;
        };
        if owner == self.id {
            self.on_group_members(owner, local, members);
        } else {
            let mail = Mail::GroupMembers(Box::new(GroupMembers { local, members }));
            self.outboxes.control(owner, Class::Ack, mail);
        }
    }

    fn local_members(&self, local: Key) -> Option<Members> {
        let filter = self.filters.get(local)?;
        let members = filter.shared.as_deref()?;
        let inflight = match self.config.shared_strategy {
            SharedStrategy::LeastInflight => {
                let online = &filter.subscribers[..members.online as usize];
                let weighed = online.len().clamp(1, MEMBERS_WEIGHED_MAX);
                let load: usize = online[..weighed.min(online.len())]
                    .iter()
                    .map(|member| self.load_of(member))
                    .sum();
                load * online.len() / weighed
            }
            _ => 0,
        };
        Some(Members {
            online: members.online,
            all: u32::try_from(filter.subscribers.len()).expect("fewer sessions than 2^32"),
            inflight: u32::try_from(inflight).unwrap_or(u32::MAX),
        })
    }

    /// A member has more or less to do: owners that choose by that are told at the end of the turn.
    pub(super) fn note_load(&mut self, session: SessionId) {
        if self.config.shared_strategy != SharedStrategy::LeastInflight {
            return;
        }
        let Some(held) = self.sessions.get(session) else {
            return;
        };
        for &local in held.shared() {
            if let Some(filter) = self.filters.get_mut(local)
                && let Some(members) = filter.shared.as_deref_mut()
                && !members.is_dirty
            {
                members.is_dirty = true;
                self.loaded.push(local);
            }
        }
    }

    /// Tells the owners how much the members have to do.
    pub(super) fn tell_loads(&mut self) {
        while let Some(local) = self.loaded.pop() {
            if let Some(members) = self.members_of(local) {
                members.is_dirty = false;
                self.tell_members(local);
            }
        }
    }
}
