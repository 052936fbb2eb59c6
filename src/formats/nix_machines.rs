//! The remote builders of Nix: the `builders` setting and the files that it includes (`src/libstore/machines.cc`, `nix.conf(5)`).
//!
//! Lines end at a newline or `;`, what follows `#` is a comment, `@FILE` stands for that file's lines, and `-` for a column that is not given.
//! Which file is read is the caller's business.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The most builders of one text.
const MOST: usize = 1024;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Counted by newlines, from 1.
    pub number: u32,
    pub said: Said,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// `@FILE`: the builders are in another file, which may be missing.
    File(String),
    /// A builder.
    Machine(Box<Machine>),
    /// Nix stops at it.
    Refused(&'static str),
}

/// One builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The store's address; a bare host has become `ssh://HOST`.
    pub uri: String,
    /// The systems; none where the builder is for this machine's own.
    pub systems: Vec<String>,
    /// The path of the private key.
    pub ssh_key: Option<String>,
    pub max_jobs: u64,
    pub features: Vec<String>,
    pub mandatory_features: Vec<String>,
    /// The server's public key as a line of known_hosts without a name: type, key, comment.
    pub public_host_key: Option<String>,
}

/// All lines, up to a bound; and whether there are more.
pub fn parse(text: &str) -> (Vec<Line>, bool) {
    let mut lines = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        for part in line.split(';') {
            let Some(said) = said(part) else { continue };
            if lines.len() == MOST {
                return (lines, true);
            }
            lines.push(Line { number: u32::try_from(index + 1).unwrap_or(u32::MAX), said });
        }
    }
    (lines, false)
}

fn said(part: &str) -> Option<Said> {
    let line = part.trim_matches([' ', '\t', '\r', '\n']).split('#').next().unwrap_or_default();
    if let Some(file) = line.strip_prefix('@') {
        return Some(Said::File(file.trim().to_owned()));
    }
    let mut columns = line.split([' ', '\t', '\n', '\r']).filter(|column| !column.is_empty());
    let uri = columns.next()?;
    let rest: Vec<Option<&str>> = columns.map(|column| Some(column).filter(|column| *column != "-")).collect();
    let column = |index: usize| rest.get(index).copied().flatten();
    let number = |index: usize| column(index).map_or(Some(1), |text| text.parse::<u64>().ok());
    let listed = |index: usize| {
        let words = column(index).into_iter().flat_map(|text| text.split(','));
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let Some(max_jobs) = number(2) else { return Some(Said::Refused("the fourth column is not a number of jobs")) };
    // Newer releases take a fraction.
    if column(3).is_some_and(|text| text.parse::<f64>().is_err()) {
        return Some(Said::Refused("the fifth column is not a speed"));
    }
    let public_host_key = match column(6).map(decoded) {
        Some(None) => return Some(Said::Refused("the eighth column is not a host key in base64")),
        key => key.flatten(),
    };
    Some(Said::Machine(Box::new(Machine {
        uri: address(uri),
        systems: listed(0),
        ssh_key: column(1).map(str::to_owned),
        max_jobs,
        features: listed(4),
        mandatory_features: listed(5),
        public_host_key,
    })))
}

/// A bare word is a host, unless it is one of Nix's own words for a store or a path.
fn address(uri: &str) -> String {
    let word = uri.split('?').next().unwrap_or_default();
    if uri.contains('/') || matches!(word, "auto" | "daemon" | "local") {
        uri.to_owned()
    } else {
        format!("ssh://{uri}")
    }
}

/// What `base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub` holds.
pub fn decoded(text: &str) -> Option<String> {
    let bytes = STANDARD.decode(text.trim_end_matches('=').to_owned() + padding(text)).ok()?;
    let line = String::from_utf8(bytes).ok()?;
    Some(line.trim().to_owned()).filter(|line| !line.is_empty() && !line.contains(['\n', '\r']))
}

fn padding(text: &str) -> &'static str {
    match text.trim_end_matches('=').len() % 4 {
        2 => "==",
        3 => "=",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Line, Machine, Said, parse};

    fn machines(text: &str) -> Vec<Machine> {
        let machine = |line: Line| match line.said {
            Said::Machine(machine) => Some(*machine),
            Said::File(_) | Said::Refused(_) => None,
        };
        parse(text).0.into_iter().filter_map(machine).collect()
    }

    #[test]
    fn a_machine_has_eight_columns_and_a_dash_is_none() {
        let key = "c3NoLWVkMjU1MTkgQUFBQSByb290QGI=";
        let all = machines(&format!(
            "ssh-ng://nix@b x86_64-linux,aarch64-linux /root/.ssh/id 4 2 kvm,big - {key} # the big one\nb - - ; c"
        ));
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].uri, "ssh-ng://nix@b");
        assert_eq!(all[0].systems, ["x86_64-linux", "aarch64-linux"]);
        assert_eq!(all[0].ssh_key.as_deref(), Some("/root/.ssh/id"));
        assert_eq!((all[0].max_jobs, all[0].features.len(), all[0].mandatory_features.len()), (4, 2, 0));
        assert_eq!(all[0].public_host_key.as_deref(), Some("ssh-ed25519 AAAA root@b"));
        assert_eq!((all[1].uri.as_str(), &all[1].ssh_key), ("ssh://b", &None));
        assert_eq!(all[2].uri, "ssh://c");
    }

    #[test]
    fn a_bare_word_is_a_host_unless_nix_has_a_store_of_that_name() {
        let uri = |text: &str| machines(text).first().map(|machine| machine.uri.clone());
        assert_eq!(uri("nix@mac"), Some("ssh://nix@mac".into()));
        assert_eq!(uri("daemon"), Some("daemon".into()));
        assert_eq!(uri("auto?x=y"), Some("auto?x=y".into()));
        assert_eq!(uri("/mnt/store"), Some("/mnt/store".into()));
    }

    #[test]
    fn files_comments_and_lines_that_nix_refuses_are_told_apart() {
        let (lines, more) =
            parse("# none\n@/etc/nix/machines # no comment is cut before the file is named\n\nb - - many\n");
        assert!(!more);
        assert_eq!(lines[0], Line { number: 2, said: Said::File("/etc/nix/machines".into()) });
        assert!(matches!(lines[1], Line { number: 4, said: Said::Refused(_) }));
        assert_eq!(lines.len(), 2);
    }

    proptest! {
        #[test]
        fn every_text_is_read_to_its_end(text in ".{0,400}") {
            let (lines, _) = parse(&text);
            prop_assert!(lines.len() <= text.len() + 1);
        }

        #[test]
        fn what_is_written_in_columns_is_read_from_them(
            host in "[a-z][a-z0-9.]{0,20}", key in "/[a-z/]{1,20}", jobs in 0_u64..1000, feature in "[a-z]{1,8}",
        ) {
            let text = format!("ssh://{host}\tx86_64-linux {key}  {jobs} 1 {feature} - -");
            let all = machines(&text);
            prop_assert_eq!(all.len(), 1);
            prop_assert_eq!(&all[0].uri, &format!("ssh://{host}"));
            prop_assert_eq!(all[0].ssh_key.as_deref(), Some(key.as_str()));
            prop_assert_eq!(all[0].max_jobs, jobs);
            prop_assert_eq!(&all[0].features, &vec![feature]);
        }
    }
}
