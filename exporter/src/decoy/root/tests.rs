use super::*;

#[test]
fn only_all_of_an_overlay_is_a_containers_own() {
    let check = |line: &str, expected: bool| {
        let table = format!("1 2 0:5 / /proc rw - proc proc rw\n{line}\n");
        assert_eq!(is_own_overlay(table.as_bytes(), 36), expected, "{line}");
    };
    check("36 35 0:40 / / rw,relatime shared:1 master:2 - overlay overlay rw,lowerdir=/a,upperdir=/b", true);
    check("36 35 0:40 / / rw - overlay overlay rw,lowerdir=/a", true);
    // A part of an overlay, mounted or entered; other file systems; another mount's line.
    check("36 35 0:40 /srv / rw - overlay overlay rw", false);
    check("36 35 0:40 / /srv rw - overlay overlay rw", false);
    check("36 35 8:1 / / rw - ext4 /dev/sda rw", false);
    check("36 35 0:40 / / rw - fuse overlay rw", false);
    check("37 35 0:40 / / rw - overlay overlay rw", false);
    check("", false);
}

#[test]
fn processes_of_a_cgroup_and_below() {
    let folder = std::env::temp_dir().join(format!("inotrail-decoy-procs-{}", std::process::id()));
    fs::create_dir_all(folder.join("a/b")).unwrap();
    fs::write(folder.join("cgroup.procs"), "").unwrap();
    fs::write(folder.join("a/cgroup.procs"), "0\n7\n").unwrap();
    fs::write(folder.join("a/b/cgroup.procs"), "8\n12345").unwrap();
    let found: Vec<_> = processes(&folder).into_iter().map(|(_, pid)| pid).collect();
    assert_eq!(found, ["7", "8"]);
    fs::remove_dir_all(folder).unwrap();
}
