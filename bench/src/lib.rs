//! The load generator of ringbus.
