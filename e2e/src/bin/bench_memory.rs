//! `bench-memory`: bytes that tables hold, as they were asked of the allocator.

use std::hint::black_box;

use allocation_counter::measure;
use e2e::bench::memory::{CONTAINERS, PODS, POLICIES, PROCESSES, containers, policies, processes, selections};

#[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
fn main() {
    let per = |count: usize, build: &dyn Fn()| measure(build).bytes_current / count as i64;
    // What is built is not dropped: it is what is measured.
    let containers = per(CONTAINERS, &|| std::mem::forget(black_box(containers())));
    println!("bytes per container, of {CONTAINERS}: {containers}");
    for (what, leaves) in [("of one parent", true), ("each the next one's parent", false)] {
        let processes = per(PROCESSES as usize, &|| std::mem::forget(black_box(processes(leaves))));
        println!("bytes per process with 8 ancestors, of {PROCESSES}, {what}: {processes}");
    }
    let set = policies();
    let policies = per(POLICIES, &|| std::mem::forget(black_box(policies())));
    println!("bytes per policy of one rule with three paths, of {POLICIES}: {policies}");
    let selections = per(PODS, &|| std::mem::forget(black_box(selections(&set))));
    println!("bytes per container that {POLICIES} policies are about, of {PODS}: {selections}");
    println!("together: {} KiB", (policies * POLICIES as i64 + selections * PODS as i64) / 1024);
}
