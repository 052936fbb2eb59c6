//! For whom a `Match` line is (`readconf.c`, `match_cfg_line`). Runs nothing: what a command decides stays open.

use crate::formats::openssh_pattern::list_matches;

/// What the criteria are held against. An error is the reason why it is not known.
pub struct Subject<'a> {
    /// The name that is connected to, as far as it is settled.
    pub host: Result<String, String>,
    /// The name that was given.
    pub original: &'a str,
    pub user: Result<String, String>,
    pub local_user: Option<&'a str>,
    /// Whether this is the second reading.
    pub is_final: bool,
}

/// What a `Match` line comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    Yes,
    No,
    /// A command, a network or a criterion of a newer release decides.
    Perhaps,
    /// ssh stops at the line.
    Refused,
}

/// Decides a line, and says whether it asks for a second reading. All criteria must hold: one that does not ends it, whatever a command would say.
pub fn decide(words: &[String], subject: &Subject<'_>) -> (Matched, bool) {
    let mut words = words.iter();
    let (mut result, mut wants_final, mut others) = (Matched::Yes, false, 0);
    while let Some(word) = words.next() {
        let (negated, name) = word.strip_prefix('!').map_or((false, word.as_str()), |name| (true, name));
        let name = name.to_ascii_lowercase();
        let holds = match name.as_str() {
            "all" if others > 0 || words.next().is_some() => return (Matched::Refused, wants_final),
            "all" => Some(true),
            "final" => {
                wants_final = true;
                Some(subject.is_final)
            }
            // It asks for no second reading and holds in each.
            "canonical" => Some(subject.is_final),
            // Newer releases take a sign between the two.
            _ if name.contains('=') => None,
            _ => {
                others += 1;
                match words.next() {
                    Some(argument) => criterion(&name, argument, subject),
                    None => return (Matched::Refused, wants_final),
                }
            }
        };
        match holds {
            Some(holds) if holds == negated => result = Matched::No,
            None if result == Matched::Yes => result = Matched::Perhaps,
            Some(_) | None => {}
        }
    }
    (result, wants_final)
}

/// Whether one criterion holds; `None` where it is not known.
fn criterion(name: &str, argument: &str, subject: &Subject<'_>) -> Option<bool> {
    let lower = argument.to_ascii_lowercase();
    match name {
        "host" => subject.host.as_ref().ok().map(|host| list_matches(&lower, &host.to_ascii_lowercase())),
        "originalhost" => Some(list_matches(&lower, &subject.original.to_ascii_lowercase())),
        "user" => subject.user.as_ref().ok().map(|user| list_matches(argument, user)),
        "localuser" => subject.local_user.map(|user| list_matches(argument, user)),
        _ => None,
    }
}
