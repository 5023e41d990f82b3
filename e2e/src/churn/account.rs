//! What was done, and what was told of it.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

use anyhow::{Result, ensure};

use super::By;
use crate::exporter::Attributes;

/// Containers by what was told of the file that each made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// All.
    pub containers: usize,
    /// Told of with the right id.
    pub right_id: usize,
    /// Told of with the right name.
    pub right_name: usize,
    /// Told of with its id and without a name.
    pub nameless: usize,
    /// Told of with somebody else's id or name, or with none: never to happen.
    pub wrong: usize,
    /// What was told of one of these.
    pub mistaken: Option<String>,
    /// Not told of, or twice.
    pub missing: usize,
    /// What the exporter says that it dropped.
    pub dropped: String,
}

impl Account {
    /// `ids` by name; `name` is the attribute that has it; `dropped` is what the exporter says of that.
    pub(super) fn of(events: &[Attributes], ids: &HashMap<String, String>, name: &str, dropped: String) -> Self {
        let mut by_path = HashMap::<&str, Vec<&Attributes>>::new();
        for event in events.iter().filter(|event| event.get("inotrail.file.operation").is_some_and(|it| it == "create"))
        {
            by_path.entry(event["file.path"].as_str().unwrap_or_default()).or_default().push(event);
        }
        let mut account = Self { containers: ids.len(), dropped, ..Self::default() };
        for (own, id) in ids {
            let path = format!("/tmp/{own}");
            let [event] = by_path.get(&*path).map(Vec::as_slice).unwrap_or_default() else {
                account.missing += 1;
                continue;
            };
            let is = |attribute: &str, value: &str| event.get(attribute).is_some_and(|told| told == value);
            let named = !event.contains_key("inotrail.resource.unresolved");
            account.right_id += usize::from(is("container.id", id));
            account.right_name += usize::from(named && is(name, own));
            account.nameless += usize::from(!named);
            if !is("container.id", id) || (named && !is(name, own)) {
                account.wrong += 1;
                account.mistaken = Some(format!("{own}, {id}: {event:?}"));
            }
        }
        account
    }

    /// Whether everything was told as it was.
    ///
    /// # Errors
    /// What was not.
    pub fn check(&self, by: By) -> Result<()> {
        let mistaken = self.mistaken.as_deref().unwrap_or_default();
        ensure!(self.wrong == 0, "{} containers were taken for others, as {mistaken}", self.wrong);
        ensure!(self.right_id == self.containers, "{} containers have no id", self.containers - self.right_id);
        ensure!(self.dropped == "0 dropped", "not everything was told: {}", self.dropped);
        // Whoever is asked may have forgotten a container of 50 ms by then; who waits for us has not.
        let all = matches!(by, By::Nri | By::Hook);
        ensure!(!all || self.right_name == self.containers, "{} containers have no name", self.nameless);
        Ok(())
    }
}

impl Display for Account {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { containers, right_id, right_name, nameless, wrong, missing, dropped, .. } = self;
        write!(
            f,
            "right id {right_id} of {containers}, right name {right_name}, without name {nameless}, wrong {wrong}, \
             not told {missing}; {dropped}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_compared() {
        let ids = [("a", "1"), ("b", "2")].map(|(name, id)| (name.to_owned(), id.to_owned())).into();
        let event = |path: &str, id: &str, name: &str| {
            let event = serde_json::json!({
                "inotrail.file.operation": "create", "file.path": path, "container.id": id, "container.name": name,
            });
            let mut event = event.as_object().unwrap().clone();
            if name.is_empty() {
                event.insert("inotrail.resource.unresolved".to_owned(), true.into());
            }
            event
        };
        let check = |events: &[Attributes], [id, name, nameless, wrong, missing]: [usize; 5], by, right: bool| {
            let account = Account::of(events, &ids, "container.name", "0 dropped".to_owned());
            let Account { right_id, right_name, .. } = account;
            assert_eq!(
                [right_id, right_name, account.nameless, account.wrong, account.missing],
                [id, name, nameless, wrong, missing]
            );
            assert_eq!(account.check(by).is_ok(), right, "{account}");
        };
        let (a, b) = (event("/tmp/a", "1", "a"), event("/tmp/b", "2", "b"));
        check(&[a.clone(), b.clone()], [2, 2, 0, 0, 0], By::Nri, true);
        check(&[a.clone(), event("/tmp/b", "2", "")], [2, 1, 1, 0, 0], By::Nri, false);
        check(&[a.clone(), event("/tmp/b", "2", "")], [2, 1, 1, 0, 0], By::Containerd, true);
        check(&[a.clone(), event("/tmp/b", "2", "a")], [2, 1, 0, 1, 0], By::None, false);
        check(&[a.clone(), event("/tmp/b", "1", "")], [1, 1, 1, 1, 0], By::None, false);
        check(std::slice::from_ref(&a), [1, 1, 0, 0, 1], By::None, false);
        check(&[a.clone(), a, b], [1, 1, 0, 0, 1], By::None, false);
    }

    #[test]
    fn drops_count() {
        let account = Account::of(&[], &HashMap::new(), "", "3 dropped: ring_full 3".to_owned());
        assert!(account.check(By::None).is_err());
    }
}
