//! placeholder until branch otlp is merged
use crate::event::{Event, Node};
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
/// tmp
pub fn resource_logs(_node: &Node, _event: &Event<'_>) -> Result<ResourceLogs, std::fmt::Error> {
    Err(std::fmt::Error)
}
