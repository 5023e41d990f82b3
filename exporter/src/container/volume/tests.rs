use super::*;

fn source(kind: &'static str, name: &str, items: &[(&str, &str)]) -> VolumeSource {
    let items = items.iter().map(|(path, key)| ((*path).to_owned(), (*key).to_owned())).collect();
    VolumeSource { kind, name: name.to_owned(), items }
}

fn volume(sources: &[VolumeSource]) -> Volume {
    Volume { name: "v".to_owned(), kind: "secret".into(), sources: sources.to_vec(), ..Volume::default() }
}

#[track_caller]
fn check(volume: &Volume, parts: [&str; 2], expected: Option<(&str, &str)>) {
    let object = volume.object(parts.map(str::as_bytes));
    let found = object.map(|object| (object.name, str::from_utf8(object.key).unwrap()));
    assert_eq!(found, expected, "{parts:?}");
}

#[test]
fn keys_of_one_object() {
    let whole = volume(&[source("Secret", "db", &[])]);
    check(&whole, ["", "/..2026_11_22_10_00_00.123/password"], Some(("db", "password")));
    check(&whole, ["", "/..data/password"], Some(("db", "password")));
    check(&whole, ["", "/password"], Some(("db", "password")));
    // Mounted by subPath: the volume's part is in the mount.
    check(&whole, ["/..2026_11_22_10_00_00.123/password", ""], Some(("db", "password")));
    // The directory, the version's directory, and what can be no key.
    check(&whole, ["", ""], Some(("db", "")));
    check(&whole, ["", "/..2026_11_22_10_00_00.123"], Some(("db", "")));
    check(&whole, ["", "/a/b"], Some(("db", "")));
    check(&whole, ["a", "b"], Some(("db", "")));
    check(&whole, ["", "/a b"], Some(("db", "")));
    check(&volume(&[]), ["", "/data"], None);
}

#[test]
fn keys_by_another_name() {
    let listed = volume(&[source("ConfigMap", "web", &[("conf/site.ini", "site")])]);
    check(&listed, ["", "/..2026_11_22_10_00_00.123/conf/site.ini"], Some(("web", "site")));
    check(&listed, ["/..2026_11_22_10_00_00.123/conf", "/site.ini"], Some(("web", "site")));
    check(&listed, ["/conf/site.ini", ""], Some(("web", "site")));
    check(&listed, ["", "/conf"], Some(("web", "")));
    check(&listed, ["/con", "/f/site.ini"], Some(("web", "")));
}

#[test]
fn objects_in_one_volume() {
    let token = source("ServiceAccount", "default", &[("token", "token")]);
    let root = source("ConfigMap", "kube-root-ca.crt", &[("ca.crt", "ca.crt")]);
    let projected = volume(&[token, root]);
    check(&projected, ["", "/..2026_11_22_10_00_00.123/token"], Some(("default", "token")));
    check(&projected, ["", "/..2026_11_22_10_00_00.123/ca.crt"], Some(("kube-root-ca.crt", "ca.crt")));
    check(&projected, ["", "/..2026_11_22_10_00_00.123/other"], None);
    check(&projected, ["", ""], None);
    // What is not listed is of the only one that lists nothing, and of two such ones nobody knows which.
    let (a, b) = (source("Secret", "a", &[("x", "y")]), source("Secret", "b", &[]));
    check(&volume(&[a.clone(), b.clone()]), ["", "/z"], Some(("b", "z")));
    check(&volume(&[a.clone(), b.clone()]), ["", "/x"], Some(("a", "y")));
    check(&volume(&[a, b.clone(), source("Secret", "c", &[])]), ["", "/z"], None);
}
