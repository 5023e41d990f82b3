use super::*;

#[test]
fn decoys_are_for_containers_that_are_known() {
    let (table, containers, now) = table();
    let mut table = table.expecting_pods(true);
    table.judge_by(policies(
        "all decoys: [{name: d, path: /all, content: c}],
         dry mode: dry-run, decoys: [{name: d, path: /dry, content: c}],
         host hostProcesses: true, decoys: [{name: d, path: /host, content: c}],
         web podSelector: {matchLabels: {app: web}}, decoys: [{name: d, path: /web, content: c}],
         none podSelector: {matchLabels: {app: none}}, decoys: [{name: d, path: /none, content: c}],",
    ));
    let news = |table: &mut Table| {
        table.publish();
        let sites = table.take_decoys()?.into_iter().map(|(cgroup, site)| {
            let paths: Vec<_> = site.decoys.iter().map(|decoy| &*decoy.path).collect();
            format!("{cgroup} {} {} {}", site.container, String::from_utf8_lossy(&site.cgroup), paths.join(" "))
        });
        Some(sites.collect::<Vec<_>>().join(", "))
    };
    let path = format!("/k/{A}");
    table.made(8, b"/system.slice/ssh.service", now);
    assert!(table.made(7, path.as_bytes(), now));
    assert!(table.made(9, format!("/k/{B}").as_bytes(), now));
    table.give_up(9);
    let sandbox = Metadata { origin: named(A, "POD").origin, ..named(A, "POD") };
    assert!(table.made(11, format!("/k/{}", A.replace("012", "999")).as_bytes(), now));
    table.assign(11, key("sandbox"), Some(sandbox));
    assert_eq!(news(&mut table), None, "nobody is known");
    let details =
        |app: &str| Some(Arc::new(PodDetails { labels: [("app".into(), app.into())].into(), ..PodDetails::default() }));
    let pod = |details| Pod { namespace: "shop".into(), name: "p".into(), uid: "u".into(), details };
    table.assign(7, key(A), Some(Metadata { pod: Some(pod(None)), ..named(A, "web") }));
    assert_eq!(news(&mut table), None, "its pod is awaited");
    table.describe("u", &pod(details("web")));
    assert_eq!(news(&mut table), Some(format!("7 {A} {path} /all /host /web")));
    // A cgroup below the container's own is the same container.
    table.made(10, format!("{path}/below").as_bytes(), now);
    assert_eq!(news(&mut table), None);
    table.describe("u", &pod(details("db")));
    assert_eq!(news(&mut table), Some(format!("7 {A} {path} /all /host")));
    table.released(7, now);
    table.released(10, now);
    assert_eq!(news(&mut table), Some(String::new()));
    table.judge_by(policies("all"));
    assert_eq!((news(&mut table), about(&mut table, &containers, 8)), (None, String::new()));
}
