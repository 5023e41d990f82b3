//! `inotrail policy` and `inotrail crd`: output and exit codes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::cli::inotrail;

/// A folder of its own for a test's files.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("inotrail-policy-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        text_of(&path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn text_of(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn policy(name: &str, path: &str) -> String {
    format!(
        "apiVersion: inotrail.dev/v1alpha1\nkind: ClusterFileAccessPolicy\nmetadata: {{name: {name}}}\nspec:\n  \
         hostProcesses: true\n  rules:\n  - name: r\n    paths: [{path}]\n"
    )
}

fn event(path: &str) -> String {
    format!(
        r#"{{"file.path":"{path}","inotrail.file.operation":"open","inotrail.file.outcome":"success","container.id":"1"}}"#
    ) + "\n"
}

#[track_caller]
fn says(output: &Output, code: i32, stdout: &str, stderr: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = (output.status.code(), text(&output.stdout), text(&output.stderr));
    assert_eq!(all, (Some(code), stdout.to_owned(), stderr.to_owned()));
}

#[test]
fn check_says_where_policies_are_wrong() {
    let folder = Folder::new("check");
    let right = folder.write("a.yaml", &(policy("a", "/a") + "---\n" + &policy("b", "/b")));
    says(&inotrail(&["policy", "check", &right], &[]), 0, "2 policies with 2 rules are right\n", "");
    let wrong = folder.write("b.yaml", &(policy("c", "/c") + "---\n" + &policy("d", "d")));
    let expected =
        format!("{wrong}:17:13: spec.rules[0].paths[0]: it must start with '/', or with '**/' for everywhere\n");
    says(&inotrail(&["policy", "check", &text_of(&folder.0)], &[]), 1, &expected, "");
    let missing = inotrail(&["policy", "check", "/no/such/file"], &[]);
    let error = "inotrail: cannot read policies from /no/such/file: No such file or directory (os error 2)\n";
    says(&missing, 1, "", error);
}

#[test]
fn explain_says_what_a_path_costs() {
    let folder = Folder::new("explain");
    let rule = "[/a, /b, '/c/*', '/d/**', '**/e', '**/*.foo', '/g/*/h']\n    except: [/d/x]\n    operations: [open]\n    users: [1";
    let policies = folder.write("p.yaml", &policy("a", rule).replace("[[", "[").replace("]]", "]"));
    let output = inotrail(&["policy", "explain", &policies], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let row = " a       r     *foo, a, b, c/, d/, e and 1 more  operation, user  2 path, 1 folder, 1 name, 1 tree, 1 suffix, 1 glob  1 path";
    assert_eq!(text.lines().nth(1), Some(row), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let decoys = "  decoys: [{name: key, path: /root/key, content: abc, mode: '0400'}]\n";
    let output = inotrail(&["policy", "explain", &folder.write("d.yaml", &(policy("a", "/a") + decoys))], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = " POLICY  DECOY  MODE  BYTES  PATH\n a       key    0400  3      /root/key\n";
    assert!(text.contains(" a       key   key            -            1 path  -\n") && text.contains(rows), "{text}");
    let wrong = folder.write("w.yaml", &policy("a", "a"));
    let expected = format!(
        "inotrail: policies are wrong:\n{wrong}:8:13: spec.rules[0].paths[0]: it must start with '/', or with '**/' for everywhere\n"
    );
    says(&inotrail(&["policy", "explain", &wrong], &[]), 1, "", &expected);
}

#[test]
fn test_holds_events_against_policies() {
    let folder = Folder::new("test");
    let policies = folder.write("p.yaml", &(policy("a", "/etc/*") + "---\n" + &policy("b", "/tmp/*")));
    let events = folder.write("e.jsonl", &(event("/etc/a") + &event("/etc/b") + &event("/usr/c")));
    let test = |expect: &[&str]| {
        inotrail(&[&["policy", "test", "--policy", &policies, "--events", &events], expect].concat(), &[])
    };
    let table = " POLICY  RULE  ACCESSES\n a       r     2\n b       r     0\n2 of 3 accesses would be reported\n";
    says(&test(&[]), 0, table, "");
    let expect = |expected: &str| {
        let file = folder.write("x.yaml", &format!("expect: [{expected}]\n"));
        test(&["--expect", &file])
    };
    says(&expect("{when: {file.path: /etc/a}, policies: [a], count: 1}"), 0, table, "");
    let error = format!("expectation 1, {{\"file.path\":\"/etc/b\"}}: {events}:2: policies [a], not [b]\n");
    says(&expect("{when: {file.path: /etc/b}, policies: [b]}"), 1, table, &error);
    let error = "expectation 1, {\"file.path\":\"/x\"}: no access has these attributes\n";
    says(&expect("{when: {file.path: /x}, policies: []}"), 1, table, error);
    let error = "expectation 1, {\"container.id\":\"1\",\"file.path\":\"/usr/c\"}: 1 accesses, not 2\n";
    says(&expect("{when: {file.path: /usr/c, container.id: '1'}, policies: [], count: 2}"), 1, table, error);
    fs::write(&events, event("/etc/a") + "TIME CONTAINER\n").unwrap();
    let output = test(&[]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("e.jsonl:2: no line of `trace --output json`"), "{error}");
}

#[test]
fn crd_prints_definitions_and_roles() {
    let output = inotrail(&["crd"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n").count(), 2);
    assert_eq!(text.matches("---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n").count(), 2);
}
