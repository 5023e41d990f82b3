//! What of a record counts here: whose it is, its number, and what it says of losses.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;

use crate::otlp::{LOSS_EVENT_NAME, STOPPED_EVENT_NAME, attribute};

/// Names that are looked for. Loki writes them with `_` for `.`, in a record's metadata or its labels.
const NAMES: [&str; 21] = [
    attribute::OTEL_EVENT_NAME,
    EVENT_NAME_FIELD,
    attribute::STREAM_ID,
    attribute::STREAM_SEQUENCE,
    attribute::AGGREGATION_COUNT,
    attribute::LOSS_REASON,
    attribute::LOSS_COUNT,
    attribute::LOSS_EVENTS,
    attribute::LOSS_STREAM_ID,
    attribute::EXPORTER_EVENTS,
    attribute::EXPORTER_LOSSES,
    attribute::CONTAINER_ID,
    attribute::OS_TYPE,
    attribute::SERVICE_NAME,
    attribute::SERVICE_INSTANCE_ID,
    attribute::K8S_NAMESPACE_NAME,
    attribute::K8S_POD_NAME,
    attribute::K8S_CONTAINER_NAME,
    attribute::CONTAINER_NAME,
    attribute::K8S_NODE_NAME,
    attribute::HOST_NAME,
];

/// `LogRecord.event_name`, as Loki calls it; for records whose attribute of the same meaning somebody took away.
pub(super) const EVENT_NAME_FIELD: &str = "event_name";
/// Names of all events of ours begin with it.
const OURS: &str = "inotrail.";

/// One record of an exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Which run of which exporter (`inotrail.stream.id`).
    pub run: &'a str,
    /// The node's name, or the host's; empty where neither is known.
    pub node: &'a str,
    /// Who acted.
    pub origin: Origin<'a>,
    /// Namespace, pod and name of the container; empty where there is none.
    pub names: [&'a str; 3],
    /// The event's name.
    pub event: &'a str,
    /// Its number in the series of (run, who acted, event name), from 1.
    pub sequence: u64,
    /// Accesses that it stands for.
    pub accesses: u64,
    /// What was lost, if it tells of that.
    pub loss: Option<Loss<'a>>,
    /// How much there was, if it tells of the run's end.
    pub stopped: Option<Stopped>,
    /// Its time, nanoseconds since the Unix epoch; 0: unknown.
    pub time_ns: u64,
    /// Of all that it says: the same for the same text, within this process.
    pub digest: u64,
}

/// Who acted: with run and event name what makes a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// A container, by its id.
    Container(&'a str),
    /// The host, or a systemd unit of it.
    Host(&'a str),
    /// Somebody in a cgroup that nobody knows.
    Unknown,
    /// The exporter itself.
    Exporter,
}

/// What a loss says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss<'a> {
    /// Why.
    pub reason: &'a str,
    /// Accesses; nothing where nobody can count them.
    pub accesses: Option<u64>,
    /// Records among them that had their numbers, and so are holes.
    pub events: u64,
    /// Whose holes: the run's that had numbered them; nothing where it is the one that tells.
    pub run: Option<&'a str>,
}

/// What the last record of a run says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Records of the run, losses and this one left out.
    pub events: u64,
    /// Records of losses.
    pub losses: u64,
}

/// Why a record of an exporter cannot be counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Faulty {
    /// An attribute that each has is missing.
    #[error("a record of inotrail without {0}: something on the way took it off")]
    Missing(&'static str),
    /// An attribute is no number.
    #[error("a record of inotrail whose {0} is no number")]
    Number(&'static str),
}

/// Collects attributes of a record and its Resource.
#[derive(Clone, Copy, Debug)]
pub struct RecordBuilder<'a> {
    values: [Option<&'a str>; NAMES.len()],
    digest: u64,
    hasher: &'a RandomState,
}

impl<'a> RecordBuilder<'a> {
    /// Knows nothing. The digests of one `hasher` can be compared.
    #[must_use]
    pub fn new(hasher: &'a RandomState) -> Self {
        Self { values: [None; NAMES.len()], digest: 0, hasher }
    }

    /// Takes what is no part of what the record says: an attribute of its Resource.
    pub fn resource(&mut self, name: &str, value: &'a str) {
        if let Some(index) = NAMES.iter().position(|it| is(name, it)) {
            self.values[index] = Some(value);
        }
    }

    /// Takes something that the record says, in any order.
    pub fn attribute(&mut self, name: &str, value: &'a str) {
        self.resource(name, value);
        self.says((name, value));
    }

    /// Adds to what the record says: its times, its text.
    pub fn says(&mut self, what: impl Hash) {
        self.digest = self.digest.wrapping_add(self.hasher.hash_one(what));
    }

    /// The record; nothing where it is of somebody else. `time_ns` is [`Record::time_ns`].
    ///
    /// # Errors
    /// [`Faulty`]
    pub fn finish(mut self, time_ns: u64) -> Result<Option<Record<'a>>, Faulty> {
        self.says(time_ns);
        let event = self.get(attribute::OTEL_EVENT_NAME).or_else(|| self.get(EVENT_NAME_FIELD));
        let run = self.get(attribute::STREAM_ID);
        let event = match (event, run) {
            (Some(event), _) if event.starts_with(OURS) => event,
            (None, Some(_)) => return Err(Faulty::Missing(attribute::OTEL_EVENT_NAME)),
            _ => return Ok(None),
        };
        let sequence = self.number(attribute::STREAM_SEQUENCE)?.filter(|number| *number > 0);
        let needed = |name| self.number(name)?.ok_or(Faulty::Missing(name));
        let loss = || {
            Ok(Loss {
                reason: self.get(attribute::LOSS_REASON).ok_or(Faulty::Missing(attribute::LOSS_REASON))?,
                accesses: self.number(attribute::LOSS_COUNT)?,
                events: self.number(attribute::LOSS_EVENTS)?.unwrap_or(0),
                run: self.get(attribute::LOSS_STREAM_ID),
            })
        };
        let stopped = || {
            let (events, losses) = (needed(attribute::EXPORTER_EVENTS)?, needed(attribute::EXPORTER_LOSSES)?);
            Ok(Stopped { events, losses })
        };
        let loss = (event == LOSS_EVENT_NAME).then(loss).transpose()?;
        let stopped = (event == STOPPED_EVENT_NAME).then(stopped).transpose()?;
        let accesses =
            if loss.is_some() || stopped.is_some() { Some(0) } else { self.number(attribute::AGGREGATION_COUNT)? };
        Ok(Some(Record {
            run: run.ok_or(Faulty::Missing(attribute::STREAM_ID))?,
            node: self.get(attribute::K8S_NODE_NAME).or_else(|| self.get(attribute::HOST_NAME)).unwrap_or_default(),
            origin: self.origin(),
            names: self.names(),
            event,
            sequence: sequence.ok_or(Faulty::Missing(attribute::STREAM_SEQUENCE))?,
            accesses: accesses.unwrap_or(1),
            loss,
            stopped,
            time_ns,
            digest: self.digest,
        }))
    }

    /// As the encoder tells them apart (`otlp::resource`).
    fn origin(&self) -> Origin<'a> {
        if let Some(id) = self.get(attribute::CONTAINER_ID) {
            return Origin::Container(id);
        }
        match self.get(attribute::OS_TYPE) {
            Some(_) => Origin::Host(self.get(attribute::SERVICE_NAME).unwrap_or_default()),
            None if self.get(attribute::SERVICE_INSTANCE_ID).is_some() => Origin::Exporter,
            None => Origin::Unknown,
        }
    }

    fn names(&self) -> [&'a str; 3] {
        let name = self.get(attribute::K8S_CONTAINER_NAME).or_else(|| self.get(attribute::CONTAINER_NAME));
        [self.get(attribute::K8S_NAMESPACE_NAME), self.get(attribute::K8S_POD_NAME), name]
            .map(Option::unwrap_or_default)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let index = NAMES.iter().position(|it| *it == name)?;
        self.values[index].filter(|value| !value.is_empty())
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, Faulty> {
        self.get(name).map(|value| value.parse().map_err(|_| Faulty::Number(name))).transpose()
    }
}

/// Whether a name is that of an attribute, as OTLP or as Loki writes it.
fn is(name: &str, attribute: &str) -> bool {
    let same = |(one, other): (u8, u8)| one == other || (one == b'_' && other == b'.');
    name.len() == attribute.len() && name.bytes().zip(attribute.bytes()).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [(&str, &str); 4] = [
        ("otel.event.name", "inotrail.file.access"),
        ("inotrail.stream.id", "run"),
        ("inotrail_stream_sequence", "7"),
        ("container.id", "c"),
    ];

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "as the lines below write it")]
    fn check(pairs: &[(&str, &str)], expected: Result<Option<(Origin<'_>, u64, u64)>, Faulty>) {
        let hasher = RandomState::default();
        let mut builder = RecordBuilder::new(&hasher);
        for (name, value) in pairs {
            builder.attribute(name, value);
        }
        let found = builder.finish(1);
        assert_eq!(found.map(|it| it.map(|it| (it.origin, it.sequence, it.accesses))), expected, "{pairs:?}");
    }

    #[test]
    fn records() {
        check(&WHOLE, Ok(Some((Origin::Container("c"), 7, 1))));
        check(
            &[&WHOLE[..], &[("inotrail_aggregation_count", "12")]].concat(),
            Ok(Some((Origin::Container("c"), 7, 12))),
        );
        check(&WHOLE[..3], Ok(Some((Origin::Unknown, 7, 1))));
        let host = [("os_type", "linux"), ("service_name", "sshd.service"), ("service_instance_id", "x")];
        check(&[&WHOLE[..3], &host].concat(), Ok(Some((Origin::Host("sshd.service"), 7, 1))));
        check(&[&WHOLE[..3], &host[1..]].concat(), Ok(Some((Origin::Exporter, 7, 1))));
        check(&[("body", "x"), ("otel.event.name", "other")], Ok(None));
        check(&[], Ok(None));
        check(&WHOLE[..2], Err(Faulty::Missing("inotrail.stream.sequence")));
        check(&WHOLE[1..], Err(Faulty::Missing("otel.event.name")));
        check(&[WHOLE[0], WHOLE[2]], Err(Faulty::Missing("inotrail.stream.id")));
        check(
            &[WHOLE[0], WHOLE[1], ("inotrail.stream.sequence", "0")],
            Err(Faulty::Missing("inotrail.stream.sequence")),
        );
        check(
            &[WHOLE[0], WHOLE[1], ("inotrail.stream.sequence", "-1")],
            Err(Faulty::Number("inotrail.stream.sequence")),
        );
        let stopped = [("otel.event.name", "inotrail.exporter.stopped"), WHOLE[1], WHOLE[2]];
        check(&stopped, Err(Faulty::Missing("inotrail.exporter.events")));
        let loss = [("otel.event.name", "inotrail.exporter.loss"), WHOLE[1], WHOLE[2]];
        check(&loss, Err(Faulty::Missing("inotrail.loss.reason")));
    }

    #[test]
    fn the_order_of_attributes_says_nothing_and_the_resource_neither() {
        let hasher = RandomState::default();
        let digest = |pairs: &[(&'static str, &'static str)], node, time| {
            let mut builder = RecordBuilder::new(&hasher);
            builder.resource("k8s.node.name", node);
            for (name, value) in pairs {
                builder.attribute(name, value);
            }
            builder.finish(time).unwrap().unwrap().digest
        };
        let [a, b, c, d] = WHOLE;
        let first = digest(&WHOLE, "n", 1);
        assert_eq!(first, digest(&[d, c, b, a], "m", 1));
        assert_ne!(first, digest(&WHOLE, "n", 2));
        assert_ne!(first, digest(&[a, b, c, ("container.id", "d")], "n", 1));
        assert_ne!(first, digest(&[a, b, c, d, ("file.path", "/x")], "n", 1));
    }
}
