//! From what was measured on this machine to what many nodes need. No I/O, no clock.

use serde::Serialize;

use super::behind::Behind;
use super::status::Status;

/// Nodes that are asked for.
const NODES: [u32; 3] = [100, 1_000, 10_000];
/// Records a second of a node: assumed.
const RATES: [(&str, f64); 3] = [("quiet", 1.0), ("typical", 20.0), ("busy", 500.0)];
/// Records a second of one container, a record for each access and with `--aggregate 5s`: of a run as `e2e bench repeats` prints it,
/// and the seconds that a run is given here.
const WORKLOADS: [(&str, [f64; 2], f64); 3] = [
    ("A compiler run of 150 C files, once a minute", [51_512.0, 2_651.0], 60.0),
    ("A loop that tails a log, ten times a second", [13_232.0, 816.0], 20.0),
    ("A package install, once an hour", [689.0, 646.0], 3_600.0),
];
/// Of each processor; the rest is for peaks, and for what waits after an outage.
pub(super) const UTILISATION: f64 = 0.5;
/// Processors of one Collector, of one Loki process, and of one ingester of a distributed Loki.
pub(super) const COLLECTOR_CORES: f64 = 1.0;
pub(super) const LOKI_CORES: f64 = 4.0;
/// A distributed Loki keeps each record so many times until it is stored.
pub(super) const COPIES: f64 = 3.0;
/// Requests a second that a node with little to tell sends: one of each lane, by `--batch-age`.
const REQUESTS: f64 = 2.0;
/// Where there are more records, a request has at least so many, and so many requests a second are not full: by `--batch-interval`.
const EARLY: (f64, f64) = (50.0, 20.0);
const DAY: f64 = 86_400.0;
/// A policy's counts are told once in so many seconds by all nodes together, but by each node once an hour.
const COUNTS_EVERY: (f64, f64) = (10.0, 3600.0);

/// Processor time of a server in microseconds, or bytes on the way: for each record, and for each request besides.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Cost {
    pub(super) record: f64,
    pub(super) request: f64,
}

impl Cost {
    /// By large and small requests; each pair is records of a request, and microseconds for each record.
    pub(super) fn of(large: (f64, f64), small: (f64, f64)) -> Self {
        let request = ((small.1 - large.1) / (small.0.recip() - large.0.recip())).max(0.0);
        Self { record: (large.1 - request / large.0).max(0.0), request }
    }

    /// For each record of requests of so many.
    pub(super) fn per_record(self, records: f64) -> f64 {
        self.record + self.request / records
    }
}

/// All that is known.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Costs {
    pub(super) collector: Cost,
    pub(super) loki: Cost,
    /// Records of a request that is full.
    pub(super) full: f64,
    /// Bytes on the way to the Collector.
    pub(super) wire: Cost,
    pub(super) stored: f64,
}

impl Costs {
    /// By measurements with full requests and with small ones.
    pub(super) fn of(large: &Behind, small: &Behind) -> Self {
        let pair = |of: &Behind, us: f64| (of.records_per_request(), us);
        Self {
            collector: Cost::of(pair(large, large.collector_us), pair(small, small.collector_us)),
            loki: Cost::of(pair(large, large.loki_us), pair(small, small.loki_us)),
            full: large.records_per_request(),
            wire: Cost::of(pair(large, large.wire_bytes), pair(small, small.wire_bytes)),
            stored: large.stored_bytes.max(small.stored_bytes),
        }
    }
}

/// What so many nodes need.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Need {
    pub(super) nodes: u32,
    pub(super) load: &'static str,
    /// Records a second of a node.
    pub(super) rate: f64,
    /// Processors that are busy all the time.
    pub(super) collector_cores: f64,
    pub(super) loki_cores: f64,
    /// At [`UTILISATION`].
    pub(super) collectors: u32,
    /// One Loki, or so many ingesters of a distributed one.
    pub(super) ingesters: u32,
    pub(super) wire_per_day: f64,
    pub(super) stored_per_day: f64,
}

/// What all numbers of nodes need at all loads.
pub(super) fn needs(costs: &Costs) -> Vec<Need> {
    NODES.into_iter().flat_map(|nodes| RATES.map(|(load, rate)| need(costs, nodes, load, rate))).collect()
}

fn need(costs: &Costs, nodes: u32, load: &'static str, rate: f64) -> Need {
    let requests = rate.min(REQUESTS).max(EARLY.1.min(rate / EARLY.0)).max(rate / costs.full);
    let (all, records) = (rate * f64::from(nodes), rate / requests);
    let [collector_cores, loki_cores] = [costs.collector, costs.loki].map(|cost| all * cost.per_record(records) / 1e6);
    let count = |cores: f64, each: f64| (cores / UTILISATION / each).ceil().max(1.0) as u32;
    let is_one = loki_cores <= LOKI_CORES * UTILISATION;
    Need {
        nodes,
        load,
        rate,
        collector_cores,
        loki_cores,
        collectors: count(collector_cores, COLLECTOR_CORES),
        ingesters: if is_one { 1 } else { count(loki_cores * COPIES, LOKI_CORES).max(COPIES as u32) },
        wire_per_day: all * costs.wire.per_record(records) * DAY,
        stored_per_day: all * costs.stored * DAY,
    }
}

/// Bytes in Loki's chunks that a container's work makes in a day.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Work {
    pub(super) what: &'static str,
    /// A record for each access.
    pub(super) each: f64,
    /// With `--aggregate 5s`.
    pub(super) together: f64,
}

/// Of the workloads that are measured elsewhere.
pub(super) fn work(costs: &Costs) -> Vec<Work> {
    let of = |(what, records, seconds): (_, [f64; 2], f64)| {
        let [each, together] = records.map(|records| records / seconds * DAY * costs.stored);
        Work { what, each, together }
    };
    WORKLOADS.map(of).to_vec()
}

/// What so many nodes ask of the API server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Asked {
    pub(super) nodes: u32,
    pub(super) watches: u64,
    /// Writes a second of each policy's status, while its counts change.
    pub(super) writes: f64,
    /// Bytes of a policy with all nodes in its status; nothing where they do not fit.
    pub(super) object_bytes: Option<f64>,
    /// Bytes a second that the API server then sends to all watches of one policy.
    pub(super) told_per_second: Option<f64>,
}

/// By the watches of one exporter, the largest status that was made, and the number of nodes that one has room for.
pub(super) fn asked(watches: u64, status: &Status, room: usize) -> Vec<Asked> {
    let of = |nodes: u32| {
        let count = f64::from(nodes);
        let writes = count / (COUNTS_EVERY.0 * count).min(COUNTS_EVERY.1);
        let fits = nodes as usize <= room;
        let object_bytes = fits.then_some(status.object_bytes as f64 / status.nodes as f64 * count);
        Asked {
            nodes,
            watches: watches * u64::from(nodes),
            writes,
            object_bytes,
            told_per_second: object_bytes.map(|bytes| bytes * writes * count),
        }
    };
    NODES.map(of).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: Costs = Costs {
        collector: Cost { record: 10.0, request: 200.0 },
        loki: Cost { record: 50.0, request: 0.0 },
        full: 1000.0,
        wire: Cost { record: 100.0, request: 1000.0 },
        stored: 300.0,
    };

    #[test]
    fn a_cost_is_found_again() {
        let cost = COSTS.collector;
        let found = Cost::of((1000.0, cost.per_record(1000.0)), (10.0, cost.per_record(10.0)));
        assert!((found.record - 10.0).abs() < 1e-9 && (found.request - 200.0).abs() < 1e-9, "{found:?}");
        // Small requests that seem to cost less cost nothing more.
        assert_eq!(Cost::of((1000.0, 10.0), (10.0, 9.0)), Cost { record: 10.0, request: 0.0 });
    }

    #[test]
    fn what_one_does_not_do_several_do() {
        let few = need(&COSTS, 100, "typical", 20.0);
        // 2,000 records a second, ten in each request.
        assert!((few.collector_cores - 2_000.0 * 30e-6).abs() < 1e-9, "{few:?}");
        assert_eq!((few.collectors, few.ingesters), (1, 1));
        assert!((few.stored_per_day - 2_000.0 * 300.0 * DAY).abs() < 1.0);
        let many = need(&COSTS, 10_000, "typical", 20.0);
        // 6 of them, half of each; 10 three times, half of 4 each.
        assert_eq!((many.collectors, many.ingesters), (12, 15));
        let install = work(&COSTS).pop().unwrap();
        assert!((install.together - 646.0 * 24.0 * 300.0).abs() < 1.0, "{install:?}");
        // Fifty records in each request, and, where there are more, twenty requests a second, until they are full.
        for (rate, each_us) in [(500.0, 14.0), (10_000.0, 10.4), (40_000.0, 10.2)] {
            let cores = need(&COSTS, 1, "busy", rate).collector_cores;
            assert!((cores - rate * each_us / 1e6).abs() < 1e-9, "{rate}: {cores}");
        }
        assert!((few.wire_per_day - 2_000.0 * 200.0 * DAY).abs() < 1.0, "{few:?}");
    }

    #[test]
    fn counts_are_told_ten_seconds_apart_until_that_is_more_than_an_hour_for_a_node() {
        let status = Status { nodes: 1_000, object_bytes: 1_000_000, write_ms: 1.0 };
        let asked = asked(4, &status, 1_000);
        assert_eq!(asked.iter().map(|one| one.watches).collect::<Vec<_>>(), [400, 4_000, 40_000]);
        assert!((asked[0].writes - 0.1).abs() < 1e-9 && (asked[1].writes - 1_000.0 / 3_600.0).abs() < 1e-9);
        assert_eq!(asked[1].object_bytes, Some(1_000_000.0));
        assert_eq!((asked[2].object_bytes, asked[2].told_per_second), (None, None));
    }
}
