//! Wire protocols of ringbus.
#![forbid(unsafe_code)]
