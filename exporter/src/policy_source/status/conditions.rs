//! What a node says of a policy, as Kubernetes' conditions.

use super::Reported;
use super::degraded::Degraded;
use crate::policy::crd::{Condition, MESSAGE_MAX, Time};

/// What conditions are about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) policy: &'a Reported,
    pub(super) degraded: Option<Degraded>,
}

/// Status, reason and message.
type Said<'a> = (bool, &'static str, &'a str);

/// Accepted, Active and Degraded. `before`: those that were told last; one whose status is still the same keeps its time.
pub(super) fn conditions(subject: &Subject<'_>, before: &[Condition], now: &Time) -> Vec<Condition> {
    let all = [("Accepted", subject.accepted()), ("Active", subject.active()), ("Degraded", subject.degraded())];
    let condition = |(type_, (status, reason, message)): (&str, Said<'_>)| {
        let status = if status { "True" } else { "False" };
        let known = before.iter().find(|known| known.type_ == type_ && known.status == status);
        Condition {
            last_transition_time: known.map_or_else(|| now.clone(), |known| known.last_transition_time.clone()),
            message: cut(message),
            observed_generation: Some(subject.policy.generation),
            reason: reason.to_owned(),
            status: status.to_owned(),
            type_: type_.to_owned(),
        }
    };
    all.into_iter().map(condition).collect()
}

impl Subject<'_> {
    fn accepted(&self) -> Said<'_> {
        match &self.policy.refused {
            Some(why) => (false, "Invalid", why),
            None => (true, "Valid", ""),
        }
    }

    fn active(&self) -> Said<'_> {
        let refused = self.policy.refused.is_some();
        match &self.policy.policy {
            None => (false, "Refused", "no version of it was right"),
            Some(policy) if !policy.active => (false, "DryRun", "it counts only"),
            Some(_) if refused => (true, "EarlierVersion", "the last version that was right stays in force"),
            Some(_) => (true, "Watching", ""),
        }
    }

    fn degraded(&self) -> Said<'_> {
        self.degraded.map_or((false, "AsExpected", ""), |degraded| (true, degraded.reason(), degraded.message()))
    }
}

/// What is too long ends in an ellipsis.
fn cut(message: &str) -> String {
    const MORE: &str = "\u{2026}";
    if message.len() <= MESSAGE_MAX {
        return message.to_owned();
    }
    message[..message.floor_char_boundary(MESSAGE_MAX - MORE.len())].to_owned() + MORE
}
