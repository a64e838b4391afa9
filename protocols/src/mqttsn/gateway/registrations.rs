//! The topic ids of one client `[MQTTSN-6.5]`.

/// How many ids there are: 0 and 0xFFFF are reserved `[MQTTSN-5.3.11]`.
const IDS: u16 = 0xFFFE;

/// Topic names by id. An id is never given to another name, and every connection counts from
/// elsewhere: a message that was delayed must not end under a wrong topic.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    entries: Entries,
    /// One less than the first id.
    base: u16,
}

/// Most clients have one topic, which then lies here itself.
#[derive(Debug, Default)]
#[expect(
    clippy::box_collection,
    reason = "few have many, all pay for the place"
)]
enum Entries {
    #[default]
    None,
    One(Registration),
    Many(Box<Vec<Registration>>),
}

const _: () = assert!(size_of::<Registrations>() <= 32);

#[derive(Debug)]
struct Registration {
    name: Box<str>,
    /// The client has the id.
    is_known: bool,
}

impl Registrations {
    /// For a connection that begins at `now`, in nanoseconds.
    pub(super) fn new(now: u64) -> Self {
        // About milliseconds, spread over the ids: connections of one client, one soon after the
        // other, are to have few ids in common.
        let spread = (now >> 20).wrapping_mul(0x9E37) % u64::from(IDS);
        Self {
            entries: Entries::None,
            base: u16::try_from(spread).unwrap_or(0),
        }
    }

    pub(super) fn name(&self, id: u16) -> Option<&str> {
        let entry = self.entries().get(self.index_of(id)?)?;
        Some(&entry.name)
    }

    pub(super) fn id(&self, name: &str) -> Option<u16> {
        let index = self.entries().iter().position(|e| *e.name == *name)?;
        self.id_of(index)
    }

    /// The id of `name`, a new one if there is none. `None` if `max` names have one.
    pub(super) fn id_or_new(&mut self, name: &str, max: u16) -> Option<u16> {
        if let Some(id) = self.id(name) {
            return Some(id);
        }
        let index = self.entries().len();
        if index >= usize::from(max.min(IDS)) {
            return None;
        }
        self.entries.push(Registration {
            name: name.into(),
            is_known: false,
        });
        self.id_of(index)
    }

    pub(super) fn is_known(&self, id: u16) -> bool {
        let entry = self
            .index_of(id)
            .and_then(|index| self.entries().get(index));
        entry.is_some_and(|entry| entry.is_known)
    }

    /// Notes whether the client has the id; nothing if there is no such id.
    pub(super) fn set_known(&mut self, id: u16, is_known: bool) {
        let index = self.index_of(id);
        if let Some(entry) = index.and_then(|index| self.entries.as_mut().get_mut(index)) {
            entry.is_known = is_known;
        }
    }

    /// The client may have none of the ids any more.
    pub(super) fn forget_known(&mut self) {
        for entry in self.entries.as_mut() {
            entry.is_known = false;
        }
    }

    fn entries(&self) -> &[Registration] {
        match &self.entries {
            Entries::None => &[],
            Entries::One(one) => std::slice::from_ref(one),
            Entries::Many(all) => all,
        }
    }

    fn id_of(&self, index: usize) -> Option<u16> {
        let id = (usize::from(self.base) + index) % usize::from(IDS) + 1;
        u16::try_from(id).ok()
    }

    fn index_of(&self, id: u16) -> Option<usize> {
        if id == 0 || id > IDS {
            return None;
        }
        let ids = usize::from(IDS);
        Some((usize::from(id) - 1 + ids - usize::from(self.base)) % ids)
    }
}

impl Entries {
    fn as_mut(&mut self) -> &mut [Registration] {
        match self {
            Self::None => &mut [],
            Self::One(one) => std::slice::from_mut(one),
            Self::Many(all) => all,
        }
    }

    fn push(&mut self, new: Registration) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(new),
            Self::One(one) => Self::Many(Box::new(vec![one, new])),
            Self::Many(mut all) => {
                all.push(new);
                Self::Many(all)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_round_and_leave_out_what_is_reserved() {
        for now in [0, 1 << 20, 1 << 30, 77 << 33, u64::MAX] {
            let mut registrations = Registrations::new(now);
            let mut ids: Vec<_> = (0..3)
                .map(|number| registrations.id_or_new(&number.to_string(), 3))
                .map(|id| id.expect("there is room"))
                .collect();
            for (number, &id) in ids.iter().enumerate() {
                assert!((1..=0xFFFE).contains(&id));
                assert_eq!(registrations.name(id), Some(number.to_string().as_str()));
                assert!(!registrations.is_known(id));
                registrations.set_known(id, true);
                assert!(registrations.is_known(id));
            }
            ids.dedup();
            assert_eq!(ids.len(), 3);
            assert_eq!(registrations.id_or_new("more", 3), None);
            assert_eq!(
                (registrations.name(0), registrations.name(0xFFFF)),
                (None, None)
            );
        }
        let mut registrations = Registrations {
            base: 0xFFFD,
            ..Registrations::default()
        };
        assert_eq!(registrations.id_or_new("last", 9), Some(0xFFFE));
        assert_eq!(registrations.id_or_new("first", 9), Some(1));
    }

    #[test]
    fn a_connection_a_second_later_has_other_ids() {
        let first = |now: u64| Registrations::new(now).id_or_new("a", 1);
        let second = 1_000_000_000;
        for now in (0..100).map(|n| n * 37 * second) {
            assert_ne!(first(now), first(now + second));
        }
    }
}
