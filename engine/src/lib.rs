//! The ringbus engine.
