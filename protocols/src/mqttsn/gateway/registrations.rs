//! The topic ids of one client `[MQTTSN-6.5]`.

/// Topic names by id. Ids count from 1 and are never given to another name: a message that was
/// delayed must not end under a wrong topic.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    entries: Vec<Registration>,
}

#[derive(Debug)]
struct Registration {
    name: Box<str>,
    /// The client has the id.
    is_known: bool,
}

impl Registrations {
    pub(super) fn name(&self, id: u16) -> Option<&str> {
        let index = usize::from(id).checked_sub(1)?;
        self.entries.get(index).map(|entry| &*entry.name)
    }

    pub(super) fn id(&self, name: &str) -> Option<u16> {
        let index = self.entries.iter().position(|entry| *entry.name == *name)?;
        u16::try_from(index + 1).ok()
    }

    /// The id of `name`, a new one if there is none. `None` if `max` names have one.
    pub(super) fn id_or_new(&mut self, name: &str, max: u16) -> Option<u16> {
        if let Some(id) = self.id(name) {
            return Some(id);
        }
        // 0xFFFF is reserved [MQTTSN-5.3.11].
        if self.entries.len() >= usize::from(max.min(0xFFFE)) {
            return None;
        }
        // Most clients have one topic or two.
        if self.entries.len() < 2 {
            self.entries.reserve_exact(1);
        }
        self.entries.push(Registration {
            name: name.into(),
            is_known: false,
        });
        u16::try_from(self.entries.len()).ok()
    }

    pub(super) fn is_known(&self, id: u16) -> bool {
        let index = usize::from(id).wrapping_sub(1);
        self.entries.get(index).is_some_and(|entry| entry.is_known)
    }

    /// Notes whether the client has the id; nothing if there is no such id.
    pub(super) fn set_known(&mut self, id: u16, is_known: bool) {
        let index = usize::from(id).wrapping_sub(1);
        if let Some(entry) = self.entries.get_mut(index) {
            entry.is_known = is_known;
        }
    }
}
