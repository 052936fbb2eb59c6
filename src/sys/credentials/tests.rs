//! Identities: what is taken on, and what is refused.

use super::{Credentials, CredentialsError, IdMap, Identity, Lacking};

const STATUS: &[u8] = b"Name:\tUid: 7 7 7 7\nUid:\t1000\t1001\t1002\t1001\nGid:\t5\t6\t7\t6\nGroups:\t4 27 \nCapInh:\t0\nCapPrm:\t0000000000000003\nCapEff:\t0000000000000001\nCapBnd:\t000001ffffffffff\n";

#[test]
fn real_effective_and_saved_ids_are_kept_apart() {
    let credentials = Credentials::parse(STATUS).expect("it is well-formed");
    let uid = credentials.uid;
    assert_eq!([uid.real, uid.effective, uid.saved], [1000, 1001, 1002]);
    assert_eq!((credentials.groups, credentials.permitted, credentials.effective), (vec![4, 27], 3, 1));
}

#[test]
fn a_status_that_lacks_a_line_is_no_identity() {
    let text = String::from_utf8_lossy(STATUS).replace("CapEff", "CapXxx");
    assert_eq!(Credentials::parse(text.as_bytes()), None);
}

#[test]
fn ids_outside_a_map_have_no_number_inside() {
    let map = IdMap::parse(b"         0     100000      65536\n").expect("a map");
    assert_eq!((map.inside(100_000), map.inside(165_535), map.inside(165_536)), (Some(0), Some(65535), None));
    assert_eq!((map.outside(1000), map.outside(65536)), (Some(101_000), None));
}

#[test]
fn an_identity_with_an_unmapped_uid_is_refused() {
    let map = IdMap::parse(b"0 100000 10\n").expect("a map");
    let identity = Identity { uid: 1000, gid: 0, groups: vec![], effective: 0, permitted: 0, bounding: 0 };
    let refused = Credentials::given(&identity, Some((&map, &map)));
    assert_eq!(refused, Err(CredentialsError::Unmapped { what: "uid 1000".into() }));
}

#[test]
fn a_lacking_capability_decides_only_where_it_overrides_permissions() {
    let mut lacking = Lacking::default();
    lacking.note_capabilities(1 << 24 | 1 << 1);
    assert_eq!(lacking.limits, ["capability cap_dac_override", "capability cap_sys_resource"]);
    assert_eq!(lacking.deciding, ["capability cap_dac_override"]);
}
