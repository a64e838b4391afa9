//! Any bytes on a connection of a whole broker in the simulator, before and after CONNECT: no
//! panic, no stall, and what another connection does goes on.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ringbus_tests::simulation::innocent_goes_on(bytes));
