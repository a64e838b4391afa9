//! One broker for many tests: it runs while any of them needs it.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::broker::Broker;

/// A broker that the tests of a program share, as a `static`.
pub struct SharedBroker(Mutex<Weak<Broker>>);

/// A share in a broker; the last one to go stops it.
pub struct Share {
    of: &'static SharedBroker,
    broker: Option<Arc<Broker>>,
}

impl SharedBroker {
    /// One that does not run yet.
    #[must_use]
    pub const fn new() -> SharedBroker {
        SharedBroker(Mutex::new(Weak::new()))
    }

    /// A share in the one that runs, or that `start` starts.
    pub fn share(&'static self, start: impl FnOnce() -> Broker) -> Share {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let running = shared.upgrade().unwrap_or_else(|| {
            let broker = Arc::new(start());
            *shared = Arc::downgrade(&broker);
            broker
        });
        Share {
            of: self,
            broker: Some(running),
        }
    }
}

impl Default for SharedBroker {
    fn default() -> SharedBroker {
        SharedBroker::new()
    }
}

impl Deref for Share {
    type Target = Broker;

    fn deref(&self) -> &Broker {
        self.broker.as_ref().expect("taken by drop alone")
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // Nobody gets a share meanwhile.
        let _shared = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.broker.take().and_then(Arc::into_inner);
        if let Some(broker) = last.filter(|_| !std::thread::panicking()) {
            broker.stop();
        }
    }
}
