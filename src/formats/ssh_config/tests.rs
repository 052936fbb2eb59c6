//! The lines of ssh_config and what holds for a host. `tests/ssh_oracle.rs` compares with ssh itself.

use proptest::prelude::*;

use super::{Effective, Included, Sources, effective, lines};

struct Files(Vec<(&'static str, &'static str)>);

impl Sources for Files {
    fn include(&mut self, word: &str, _: bool) -> Result<Vec<Included>, String> {
        let of = |(path, text): &(&str, &str)| Included { path: (*path).into(), text: Ok(text.as_bytes().to_vec()) };
        Ok(self.0.iter().filter(|(path, _)| *path == word).map(of).collect())
    }
}

fn of(host: &str, text: &str) -> Effective {
    let files = [(true, Included { path: "config".into(), text: Ok(text.as_bytes().to_vec()) })];
    let mut result = Effective::default();
    let inner = "Port 7\nHost other\nPort 8\n";
    effective(host, &files, &mut Files(vec![("inner", inner), ("loop", "Include loop\n")]), &mut result);
    result
}

fn word(host: &str, text: &str, name: &str) -> Result<Option<String>, String> {
    of(host, text).word(name).map(|word| word.map(str::to_owned))
}

#[test]
fn the_first_value_for_the_host_counts() {
    let text = "Host a !b\n  Port 1\nHost *\n  Port 2\nPort=3\n";
    assert_eq!(word("a", text, "port"), Ok(Some("1".into())));
    assert_eq!(word("b", text, "port"), Ok(Some("2".into())));
    assert_eq!(word("b", "Host * !b\nPort 1\n", "port"), Ok(None));
    assert_eq!(word("a", "HostName \"x y\" # z\n", "hostname"), Ok(Some("x y".into())));
}

#[test]
fn a_match_that_is_not_understood_makes_its_options_doubtful_and_no_others() {
    let text = "User known\nMatch exec \"test\"\n  Port 1\n  User other\nMatch all\n  HostName h\n";
    assert_eq!(word("a", text, "user"), Ok(Some("known".into())));
    assert_eq!(word("a", text, "port"), Err("config:2".into()));
    assert_eq!(word("a", text, "hostname"), Ok(Some("h".into())));
    assert_eq!(word("a", "Match final all\nPort 5\nHost *\nPort 6\n", "port"), Ok(Some("6".into())));
    assert_eq!(word("a", "Match final\nPort 5\n", "port"), Ok(Some("5".into())));
}

#[test]
fn a_criterion_that_does_not_hold_ends_a_match_whatever_a_command_would_say() {
    let port = |host: &str, text: &str| word(host, text, "port");
    assert_eq!(port("a", "Match host b exec true\nPort 1\n"), Ok(None));
    assert_eq!(port("a", "Match exec true host b\nPort 1\n"), Ok(None));
    assert_eq!(port("a", "Match host a exec true\nPort 1\n"), Err("config:1".into()));
    assert_eq!(port("a", "Match !host a,b\nPort 1\n"), Ok(None));
    assert_eq!(port("a", "Match originalhost *,!b\nPort 1\n"), Ok(Some("1".into())));
    assert_eq!(port("a", "HostName %h.lan\nMatch host A.lan\nPort 1\n"), Ok(Some("1".into())));
    assert_eq!(port("a", "HostName %h.lan\nMatch originalhost a.lan\nPort 1\n"), Ok(None));
    assert_eq!(port("a", "User nix\nMatch user n*\nPort 1\n"), Ok(Some("1".into())));
    // Who runs ssh is not known here; what another network or a newer release decides neither.
    assert_eq!(port("a", "Match localuser me\nPort 1\n"), Err("config:1".into()));
    assert_eq!(port("a", "Match localnetwork 10.0.0.0/8\nPort 1\n"), Err("config:1".into()));
    assert!(port("a", "Match host\nPort 1\n").is_err());
}

#[test]
fn what_is_included_for_another_host_says_nothing_and_does_not_change_for_whom_the_rest_is() {
    assert_eq!(word("a", "Include inner\nHostName h\n", "port"), Ok(Some("7".into())));
    assert_eq!(word("a", "Include inner\nHostName h\n", "hostname"), Ok(Some("h".into())));
    assert_eq!(word("other", "Host b\nInclude inner\n", "port"), Ok(None));
    assert!(word("a", "Include loop\n", "port").is_err());
}

#[test]
fn a_line_that_ssh_refuses_leaves_what_follows_unknown() {
    assert!(word("a", "User \"x\nPort 1\n", "port").is_err());
    assert_eq!(word("a", "Port 1\nUser \"x\n", "port"), Ok(Some("1".into())));
}

#[test]
fn identities_add_up() {
    let found = of("a", "IdentityFile one\nHost b\nIdentityFile two\nHost a\nIdentityFile three\n");
    let paths: Vec<_> = found.identities.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["one", "three"]);
}

proptest! {
    #[test]
    fn every_text_is_read_to_its_end(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (found, _) = lines(&text);
        prop_assert!(found.len() <= text.len());
    }

    #[test]
    fn an_option_of_another_host_is_never_taken(port in 1_u16..9999, host in "[a-m]{1,8}", other in "[n-z]{1,8}") {
        let text = format!("Host {other}\nPort {port}\n");
        prop_assert_eq!(word(&host, &text, "port"), Ok(None));
        prop_assert_eq!(word(&other, &text, "port"), Ok(Some(port.to_string())));
    }
}
