//! Has decoys put into the containers that are to have some.

use super::Watch;

impl Watch {
    pub(super) fn plant(&mut self) {
        let Some(wanted) = self.table.take_decoys() else { return };
        if let Some(decoys) = &self.decoys {
            decoys.send_replace(wanted);
        }
    }

    /// Says of which policies the decoys are not made, once of each.
    pub(super) fn warn_of_decoys(&mut self) {
        if self.decoys.is_some() {
            return;
        }
        self.warned.retain(|name| self.table.policies_with_decoys().any(|policy| policy == name));
        for policy in self.table.policies_with_decoys() {
            if !self.warned.contains(policy) {
                self.warned.insert(policy.to_owned());
                tracing::warn!(policy, "its decoys are not made, and its rules are in force: --decoys has them made");
            }
        }
    }
}
