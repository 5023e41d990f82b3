//! Containers that live for a moment, whoever names them. Needs root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Mutex, PoisonError};

use e2e::churn::{Args, By};
use e2e::tools::OldContainerd;

/// Starts fewer containers than `e2e churn` does, one kind at a time.
fn churn(by: By, old: Option<OldContainerd>, containers: usize) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let account = Args { containers, at_once: 10, by, old, pods: 0 }.account().unwrap();
    eprintln!("{by:?}, old: {old:?}: {account}");
    account.check(by).unwrap();
    assert_eq!(account.containers, containers);
}

#[test]
fn by_nri() {
    churn(By::Nri, None, 60);
}

#[test]
fn by_containerd() {
    churn(By::Containerd, None, 30);
}

#[test]
fn by_cri() {
    churn(By::Cri, None, 30);
}

#[test]
fn by_an_old_containerd() {
    for by in [By::Containerd, By::Cri] {
        churn(by, Some(OldContainerd::V1_6), 30);
    }
    for by in [By::Containerd, By::Cri, By::Nri] {
        churn(by, Some(OldContainerd::V1_7), 30);
    }
}

#[test]
fn by_nobody() {
    churn(By::None, None, 30);
}
