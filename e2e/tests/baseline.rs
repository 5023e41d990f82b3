//! What an event costs, held against what was committed.

use std::path::Path;

use e2e::bench::baseline::{changes, committed, measure};

#[test]
fn an_event_costs_what_it_did() {
    let programs = Path::new(env!("CARGO_BIN_EXE_bench-path")).parent().unwrap();
    let changes = changes(&committed().unwrap(), &measure(programs).unwrap());
    assert!(
        changes.is_empty(),
        "{changes:#?}\nif that is meant: cargo run -p e2e -- bench baseline, and commit e2e/baseline.json"
    );
}
