//! What matters more than what, when not everything can be kept or sent at once.

use crate::event::{Event, Outcome};
use crate::policy::rule::Action;

/// Kinds of records, the first to be given up first. Each has batches, a spool and an order of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// What nobody called wrong.
    Access,
    /// What the kernel refused.
    Denied,
    /// What a policy calls a violation; and losses, which are few and tell of the rest.
    Violation,
}

impl Lane {
    /// All of them, the first to be given up first.
    pub const ALL: [Self; 3] = [Self::Access, Self::Denied, Self::Violation];

    /// Where an event belongs.
    #[must_use]
    pub fn of(event: &Event<'_>) -> Self {
        if event.judgement.is_some_and(|judgement| judgement.action == Action::Violation) {
            Self::Violation
        } else if matches!(event.access.outcome(), Outcome::Failure(_)) {
            Self::Denied
        } else {
            Self::Access
        }
    }

    /// As metrics and the folders of the spool name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Denied => "denied",
            Self::Violation => "violation",
        }
    }
}
