//! Policies that are wrong.

use serde_json::{Value, json};

use super::{Bench, policy, rule};

pub(super) fn what_is_wrong_is_refused(bench: &Bench) {
    let check = |change: fn(&mut Value), expected: &str| {
        let mut spec = json!({"rules": [rule(&["/etc/passwd"])]});
        change(&mut spec);
        let error = format!("{:#}", bench.cluster.create(policy("shop", "wrong", spec)).unwrap_err());
        assert!(error.contains(expected), "{error}");
    };
    check(|spec| spec["rules"] = json!([]), "spec.rules in body should have at least 1 items");
    check(|spec| spec["rules"][0]["paths"] = json!([]), "spec.rules[0].paths in body should have at least 1 items");
    for path in ["etc/passwd", "/etc/../passwd", "/etc/.", "/etc//passwd", "/etc/", ""] {
        let spec = json!({"rules": [rule(&[path])]});
        let error = format!("{:#}", bench.cluster.create(policy("shop", "wrong", spec)).unwrap_err());
        assert!(error.contains("spec.rules[0].paths[0]"), "{path}: {error}");
    }
    check(|spec| spec["rules"][0]["severity"] = "worst".into(), "Unsupported value: \"worst\"");
    check(|spec| spec["rules"] = json!([rule(&["/a"]), rule(&["/b"])]), "Duplicate value");
    check(|spec| spec["rules"][0]["name"] = "a".repeat(254).into(), "Too long");
    check(|spec| spec["rules"][0]["paths"] = vec!["/a"; 10_001].into(), "Too many: 10001: must have at most 10000");
    for key in ["", "a b", "-a", "a.", "é", &"a".repeat(64)] {
        let spec = json!({"rules": [{"name": "a", "paths": ["/a"], "labels": {key: "x"}}]});
        let error = format!("{:#}", bench.cluster.create(policy("shop", "wrong", spec)).unwrap_err());
        assert!(error.contains("a label's key is up to 63"), "{key}: {error}");
    }
    check(
        |spec| spec["rules"][0]["labels"] = json!({"a": "x".repeat(257)}),
        "Too long: may not be more than 256 bytes",
    );
    let many =
        |spec: &mut Value| spec["rules"][0]["labels"] = (0..17).map(|it| (format!("a{it}"), json!("x"))).collect();
    check(many, "must have at most 16 items");
    check(
        |spec| spec["podSelector"] = json!({"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]}),
        "operator is In or NotIn with values",
    );
    // What no schema can say, the exporter says, and others stay in force.
    let spec = json!({"rules": [rule(&["/etc/[a"])]});
    let (wrong, right) =
        (policy("shop", "wrong", spec), policy("shop", "right", json!({"rules": [rule(&["/etc/passwd"])]})));
    bench.create(&wrong);
    bench.trace.wait_for_log("refused", 1).unwrap();
    bench.create(&right);
    bench.check(&[("shop", "/etc/passwd")]);
    bench.delete(&wrong);
    bench.delete(&right);
}
