use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message as _;

use super::sample::Sample;
use super::{direct, sdk};

/// Every record with its resource's and its own attributes sorted, which neither way promises an order of.
pub(super) fn records(requests: &[Vec<u8>]) -> Vec<String> {
    let mut out = Vec::new();
    for request in requests {
        for mut logs in ExportLogsServiceRequest::decode(&**request).unwrap().resource_logs {
            let resource = logs.resource.as_mut().unwrap();
            resource.attributes.sort_by(|one, other| one.key.cmp(&other.key));
            let scope = &mut logs.scope_logs[0];
            for mut record in std::mem::take(&mut scope.log_records) {
                record.attributes.sort_by(|one, other| one.key.cmp(&other.key));
                out.push(format!("{resource:?} {} {scope:?} {record:?}", logs.schema_url));
            }
        }
    }
    out.sort();
    out
}

#[test]
fn both_ways_tell_the_same() {
    let sample = Sample::default();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    direct::run(&sample, 2500, |request| ours.push(request.to_vec()));
    sdk::run(&sample, 2500, |request| theirs.push(request.to_vec())).unwrap();
    let (ours, theirs) = (records(&ours), records(&theirs));
    assert_eq!(ours.len(), 2500);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(theirs.len(), 2500);
}
