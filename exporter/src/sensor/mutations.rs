//! What is done to files without opening them: which functions this kernel has for that.

mod forms;

use inotrail_ebpf::{ABSENT, Layout};

use super::btf::Btf;
use crate::event::Operation;
use forms::{BY_PATH, FORMS, Form, INSTEAD, SPLIT_OFF};

/// A function by which the kernel asks its security modules about an operation, and the programs for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// What is told of.
    pub operation: Operation,
    /// The function that is hooked.
    pub function: &'static str,
    /// The program for its return.
    pub fexit: &'static str,
    /// The program for its entry.
    pub kprobe: &'static str,
    /// Why this kernel's function cannot be hooked; nothing where it can.
    pub unsupported: Option<String>,
}

/// A program and the function that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It runs at its return.
    Return(&'static str, &'static str),
    /// It runs at its entry.
    Entry(&'static str, &'static str),
}

/// Which functions this kernel has, by the names and the number of their parameters and never by version.
pub(super) fn resolve(btf: &Btf, layout: &Layout) -> Vec<Mutation> {
    let list = fitting(&FORMS, btf, layout);
    let is_absent = |row: &Mutation| row.unsupported.is_some() && row.function.starts_with(BY_PATH);
    let absent: Vec<_> = list.iter().filter(|row| is_absent(row)).map(|row| row.operation).collect();
    let mut instead = fitting(&INSTEAD, btf, layout);
    instead.retain(|row| row.unsupported.is_none() && absent.contains(&row.operation));
    let replaced: Vec<_> = instead.iter().map(|row| row.operation).collect();
    list.into_iter().filter(|row| !replaced.contains(&row.operation)).chain(instead).collect()
}

/// One row per function and operation, in the form that fits, or with the reason why none does.
fn fitting(forms: &[Form], btf: &Btf, layout: &Layout) -> Vec<Mutation> {
    let mut list: Vec<Mutation> = Vec::new();
    for form in forms {
        let found = btf.parameters(form.function).ok();
        if found.is_none() && SPLIT_OFF.contains(&form.function) {
            continue;
        }
        let unsupported = unsupported(form, found.as_deref(), layout);
        let mutation = Mutation {
            operation: form.operation,
            function: form.function,
            fexit: form.fexit,
            kprobe: form.kprobe,
            unsupported,
        };
        let same = |known: &&mut Mutation| (known.function, known.operation) == (form.function, form.operation);
        match list.iter_mut().find(same) {
            Some(known) if known.unsupported.is_some() => *known = mutation,
            Some(_) => {}
            None => list.push(mutation),
        }
    }
    list
}

fn unsupported(form: &Form, found: Option<&[&str]>, layout: &Layout) -> Option<String> {
    let function = form.function;
    let Some(found) = found else {
        return Some(format!("this kernel has no {function}{}", needs(function)));
    };
    let same = |(wanted, name): (&&str, &&str)| *wanted == "_" || wanted == name;
    if found.len() != form.parameters.len() || !form.parameters.iter().zip(found).all(same) {
        return Some(format!("this kernel's {function}({}) has a form that is not known", found.join(", ")));
    }
    let nameidata = ("task_struct.nameidata", layout.task_nameidata);
    let needed = [
        (form.operation == Operation::Create).then_some(nameidata),
        function.starts_with("security_inode_").then_some(("task_struct.cred", layout.task_cred)),
        (function == "security_inode_setattr").then_some(("iattr.ia_valid", layout.iattr_valid)),
    ];
    let missing = needed.into_iter().flatten().find(|(_, offset)| *offset == ABSENT)?;
    Some(format!("this kernel's type information lacks {}", missing.0))
}

fn needs(function: &str) -> &'static str {
    if function.starts_with(BY_PATH) { " (CONFIG_SECURITY_PATH)" } else { " (CONFIG_SECURITY)" }
}

/// Every function that a program is for.
pub(super) fn functions() -> impl Iterator<Item = &'static str> {
    FORMS.iter().chain(&INSTEAD).map(|form| form.function)
}

/// The function that a program is for, and whether at its return.
pub(super) fn place(program: &str) -> Option<Place> {
    FORMS.iter().chain(&INSTEAD).find_map(|form| {
        let fexit = (form.fexit == program).then_some(Place::Return(form.fexit, form.function));
        fexit.or_else(|| (form.kprobe == program).then_some(Place::Entry(form.kprobe, form.function)))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::sensor::layout;

    #[test]
    fn the_running_kernel_has_every_operation() {
        let btf = Btf::load(Path::new("/sys/kernel/btf/vmlinux")).unwrap();
        let (_, features) = layout::resolve(&btf, None, 0).unwrap();
        let operations: BTreeSet<_> = features.mutations.iter().map(|row| row.operation.as_str()).collect();
        assert_eq!(operations.len(), 12, "{operations:?}");
        for row in &features.mutations {
            assert_eq!(row.unsupported, None, "{row:?}");
        }
        let functions: BTreeSet<_> = features.mutations.iter().map(|row| row.function).collect();
        assert_eq!(functions.len(), features.mutations.len());
    }

    #[test]
    fn a_kernel_without_paths_has_every_operation_too() {
        let mut bytes = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        let name = BY_PATH.as_bytes();
        let places: Vec<_> = (0..bytes.len() - name.len()).filter(|at| bytes[*at..].starts_with(name)).collect();
        for at in places {
            bytes[at] = b'#';
        }
        let (_, features) = layout::resolve(&Btf::parse(bytes).unwrap(), None, 0).unwrap();
        let operations: BTreeSet<_> = features.mutations.iter().map(|row| row.operation.as_str()).collect();
        assert_eq!(operations.len(), 12, "{operations:?}");
        for row in &features.mutations {
            assert_eq!(row.unsupported, None, "{row:?}");
            assert!(!row.function.starts_with(BY_PATH) && row.function != "security_file_truncate", "{row:?}");
        }
        let programs: BTreeSet<_> = features.mutations.iter().map(|row| row.kprobe).collect();
        assert_eq!(programs.len(), features.mutations.len());
    }

    #[test]
    fn forms_are_told_by_their_parameters() {
        let check = |form: &Form, found: Option<&[&str]>, expected: Option<&str>| {
            assert_eq!(unsupported(form, found, &Layout { task_cred: 0, ..Layout::ABSENT }).as_deref(), expected);
        };
        let [new, old] = [&FORMS[11], &FORMS[12]];
        let before_5_12 = ["dentry", "name", "value", "size", "flags"];
        let since = ["mnt_userns", "dentry", "name", "value", "size", "flags"];
        check(new, Some(&since), None);
        check(old, Some(&before_5_12), None);
        check(
            new,
            Some(&before_5_12),
            Some(
                "this kernel's security_inode_setxattr(dentry, name, value, size, flags) has a form that is not known",
            ),
        );
        assert!(unsupported(old, Some(&since), &Layout::ABSENT).is_some());
        check(&FORMS[0], None, Some("this kernel has no security_path_unlink (CONFIG_SECURITY_PATH)"));
        check(
            &FORMS[6],
            Some(&["dir", "dentry", "mode", "dev"]),
            Some("this kernel's type information lacks task_struct.nameidata"),
        );
    }
}
