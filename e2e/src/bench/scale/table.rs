//! The README's tables.

use super::model::{Asked, COLLECTOR_CORES, COPIES, Cost, LOKI_CORES, Need, UTILISATION, Work};
use super::status::Statuses;
use super::{Behind, Node, Report};

const MIB: f64 = 1_048_576.0;
const GB: f64 = 1e9;

/// In Markdown.
pub(super) fn all(report: &Report) -> String {
    [
        behind(report),
        costs(report),
        needs(&report.needs),
        work(&report.work),
        nodes(&report.nodes),
        statuses(&report.statuses),
        asked(&report.asked),
    ]
    .join("\n")
}

fn behind(report: &Report) -> String {
    let head = "Measured: one Collector and one Loki, as they are shipped, with senders that stand for exporters of 50 pods each:\n\n\
        | Exporters | Records of a request | Bytes of a record, sent | in Loki's chunks | Collector, µs a record | by the model | Loki, µs a record | by the model | Collector, MiB | Loki, MiB |\n\
        |---|---|---|---|---|---|---|---|---|---|\n";
    let line = |one: &Behind| {
        let records = one.records_per_request();
        let [collector, loki] = [report.costs.collector, report.costs.loki].map(|cost| cost.per_record(records));
        format!(
            "| {} | {records:.0} | {:.0} | {:.0} | {:.0} | {collector:.0} | {:.0} | {loki:.0} | {:.0} | {:.0} |\n",
            one.exporters,
            one.wire_bytes,
            one.stored_bytes,
            one.collector_us,
            one.loki_us,
            one.collector_peak as f64 / MIB,
            one.loki_peak as f64 / MIB,
        )
    };
    head.to_owned() + &report.behind.iter().map(line).collect::<String>()
}

/// The first and the last measurement make the model; those between check it.
fn costs(report: &Report) -> String {
    let of = |Cost { record, request }| format!("{record:.0} µs a record and {request:.0} µs a request");
    format!(
        "The model, of the first and the last line: the Collector takes {} of a processor, Loki {}.\n",
        of(report.costs.collector),
        of(report.costs.loki)
    )
}

fn needs(needs: &[Need]) -> String {
    let head = format!(
        "Extrapolated: processors that are busy, and what that makes when {:.0} % of each are to be used: Collectors of {COLLECTOR_CORES:.0} processor, \
         and Loki as one process of {LOKI_CORES:.0}, or distributed, with ingesters of {LOKI_CORES:.0} that keep {COPIES:.0} copies:\n\n\
         | Nodes | Records a second of each (assumed) | Collectors: busy processors | replicas | Loki: busy processors | processes that store | Sent a day | Stored a day |\n\
         |---|---|---|---|---|---|---|---|\n",
        UTILISATION * 100.0
    );
    let line = |need: &Need| {
        let Need { nodes, load, rate, collector_cores, collectors, loki_cores, ingesters, .. } = need;
        let ingesters = if *ingesters == 1 { "1".to_owned() } else { format!("{ingesters} ingesters") };
        format!(
            "| {} | {rate:.0} ({load}) | {collector_cores:.2} | {collectors} | {loki_cores:.2} | {ingesters} | {} | {} |\n",
            thousands(*nodes),
            size(need.wire_per_day),
            size(need.stored_per_day)
        )
    };
    head + &needs.iter().map(line).collect::<String>()
}

fn work(work: &[Work]) -> String {
    let head = "Extrapolated: what one container's work stores a day:\n\n\
        | | A record for each access | With `--aggregate 5s` |\n|---|---|---|\n";
    let line = |one: &Work| format!("| {} | {} | {} |\n", one.what, size(one.each), size(one.together));
    head.to_owned() + &work.iter().map(line).collect::<String>()
}

fn nodes(nodes: &[Node]) -> String {
    let head = "Measured: an exporter of a node where nothing is accessed, with pods by a real API server and a policy about all:\n\n\
        | Pods | Most memory, MiB | Of one processor | Watches of the API server |\n|---|---|---|---|\n";
    let line = |node: &Node| {
        let watches: Vec<_> = node.watches.iter().map(|(resource, count)| format!("{count} `{resource}`")).collect();
        let memory = node.peak_bytes as f64 / MIB;
        format!("| {} | {memory:.1} | {:.1} % | {} |\n", node.pods, node.idle_percent, watches.join(", "))
    };
    head.to_owned() + &nodes.iter().map(line).collect::<String>()
}

fn statuses(statuses: &Statuses) -> String {
    let head = "Measured: a policy in whose status so many nodes are, and what one write to it takes:\n\n\
        | Nodes | Bytes of the policy | API server, ms a write |\n|---|---|---|\n";
    let line = |one: &super::status::Status| {
        format!("| {} | {} | {:.1} |\n", thousands(one.nodes as u32), size(one.object_bytes as f64), one.write_ms)
    };
    let refused = format!("| {} | refused | |\n", thousands(statuses.refused.0 as u32));
    head.to_owned() + &statuses.taken.iter().map(line).collect::<String>() + &refused
}

fn asked(asked: &[Asked]) -> String {
    let head = "Extrapolated: what exporters ask of the API server; the last two for each policy that they write the status of:\n\n\
        | Nodes | Watches | Writes a second | Sent to watches a second |\n|---|---|---|---|\n";
    let line = |one: &Asked| {
        let told = one.told_per_second.map_or_else(|| "more nodes than a status takes".to_owned(), size);
        format!("| {} | {} | {:.2} | {told} |\n", thousands(one.nodes), thousands(one.watches as u32), one.writes)
    };
    head.to_owned() + &asked.iter().map(line).collect::<String>()
}

/// Bytes, in a unit for people.
fn size(bytes: f64) -> String {
    match bytes {
        small if small < 1e6 => format!("{:.1} kB", small / 1e3),
        medium if medium < GB => format!("{:.1} MB", medium / 1e6),
        large if large < 1e3 * GB => format!("{:.1} GB", large / GB),
        huge => format!("{:.1} TB", huge / 1e3 / GB),
    }
}

fn thousands(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([7, 1_000, 40_000, 1_234_567].map(thousands), ["7", "1,000", "40,000", "1,234,567"]);
        assert_eq!([1.5e3, 2e6, 3.25e9, 4e12].map(size), ["1.5 kB", "2.0 MB", "3.2 GB", "4.0 TB"]);
    }
}
