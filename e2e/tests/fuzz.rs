//! A short run of the fuzzer: the long one is `make fuzz`.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use e2e::fuzz::{Target, fuzz};

/// A seed that stays: what is found once is found again.
const SEED: u64 = 20_261_121;
const INPUTS: u64 = 100_000;

fn short(target: Target) {
    let report = fuzz(target, INPUTS, SEED, 2).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    // Damage that is always seen, or never, would test one half of the parser only.
    let taken = report.taken * 100 / INPUTS;
    assert!(report.inputs == INPUTS && (10..90).contains(&taken), "{report:?}");
}

#[test]
fn the_reader_of_type_information_survives() {
    short(Target::Btf);
}

#[test]
fn the_decoder_of_records_survives() {
    short(Target::Record);
}
