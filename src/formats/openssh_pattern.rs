//! Patterns in OpenSSH's files (`ssh_config(5)`, PATTERNS; `match.c`): one, and a list of them. Letters are compared as they are. No I/O.

/// Longer patterns match nothing (`match_pattern_list`).
const LONGEST: usize = 1023;

/// `*` stands for any text, `?` for one character. In time that the product of both lengths bounds.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(letter) = text.get(read) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == letter => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((back, from)) => {
                    star = Some((back, from + 1));
                    at = back + 1;
                    read = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|letter| *letter == b'*')
}

/// A list of patterns; one that is negated and matches settles it.
pub fn list_matches(list: &str, text: &str) -> bool {
    let mut found = false;
    for pattern in list.split(',') {
        let (negated, pattern) = pattern.strip_prefix('!').map_or((false, pattern), |pattern| (true, pattern));
        if pattern.len() > LONGEST {
            return false;
        }
        if matches(pattern, text) {
            if negated {
                return false;
            }
            found = true;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{list_matches, matches};

    #[test]
    fn what_a_negated_pattern_takes_out_no_other_brings_back() {
        assert!(list_matches("*.example,!b.example", "c.example"));
        assert!(!list_matches("*.example,!b.example", "b.example"));
        assert!(!list_matches("!b.example", "c.example"), "a list of exceptions alone is for nobody");
    }

    proptest! {
        #[test]
        fn a_pattern_without_stars_matches_itself_alone(text in "[a-z.]{1,12}", other in "[a-z.]{1,12}") {
            prop_assert_eq!(matches(&text, &other), text == other);
            let (pattern, around) = (format!("*{text}*"), format!("{other}{text}{other}"));
            prop_assert!(matches(&pattern, &around));
        }
    }
}
