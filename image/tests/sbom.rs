//! The bill of materials, by the library of `CycloneDX` itself.

use std::collections::BTreeSet;

use cyclonedx_bom::models::bom::Bom;
use cyclonedx_bom::validation::Validate as _;
use inotrail_image::platform::Platform;
use inotrail_image::sbom::sbom;

/// Valid, the same again, and about what is linked: nothing that only builds or tests.
#[test]
fn what_is_linked() {
    for platform in Platform::ALL {
        let text = sbom(platform).unwrap();
        assert_eq!(text, sbom(platform).unwrap());
        let bom = Bom::parse_from_json_v1_5(&text[..]).unwrap();
        assert!(bom.validate().passed(), "{:?}", bom.validate());
        let components = bom.components.unwrap().0;
        let names: BTreeSet<_> = components.iter().map(|component| component.name.to_string()).collect();
        for linked in ["inotrail-ebpf", "aya-ebpf", "inotrail-oci-hook", "aya", "ring", "zstd-sys", "tokio", "rust-std"]
        {
            assert!(names.contains(linked), "{linked} is missing");
        }
        for other in ["inotrail", "cc", "sha2", "serde_derive", "syn", "proptest", "windows-sys", "inotrail-image"] {
            assert!(!names.contains(other), "{other} is not linked");
        }
        let without: Vec<_> =
            components.iter().filter(|it| it.hashes.is_none()).map(|it| it.name.to_string()).collect();
        assert_eq!(without, ["rust-std", "inotrail-ebpf", "inotrail-oci-hook"]);
        let references: BTreeSet<_> = components.iter().filter_map(|component| component.bom_ref.clone()).collect();
        for dependency in bom.dependencies.unwrap().0 {
            for needed in dependency.dependencies {
                assert!(references.contains(&needed), "{needed} is no component");
            }
        }
        assert!(bom.serial_number.is_none());
        assert!(!String::from_utf8(text).unwrap().contains(env!("CARGO_MANIFEST_DIR").trim_end_matches("/image")));
    }
}
