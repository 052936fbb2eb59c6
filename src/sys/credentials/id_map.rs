//! The map of a user namespace, from inside to outside and back (`user_namespaces(7)`).

/// The map of a user namespace: its ids, and what they are for the reader (`user_namespaces(7)`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap(Vec<[u32; 3]>);

impl IdMap {
    /// Reads the text of `/proc/PID/uid_map` or `gid_map`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let line = |line: &str| -> Option<[u32; 3]> {
            let words: Vec<u32> = line.split_ascii_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>()?;
            words.try_into().ok()
        };
        text.lines().map(line).collect::<Option<_>>().map(Self)
    }

    /// What the reader's id is inside.
    pub fn inside(&self, outside: u32) -> Option<u32> {
        self.0.iter().find_map(|[inside, first, count]| shift(outside, *first, *inside, *count))
    }

    /// What an id inside is for the reader.
    pub fn outside(&self, inside: u32) -> Option<u32> {
        self.0.iter().find_map(|[first, outside, count]| shift(inside, *first, *outside, *count))
    }

    pub(super) fn is_whole(&self) -> bool {
        self.0 == [[0, 0, u32::MAX]]
    }
}

fn shift(id: u32, from: u32, to: u32, count: u32) -> Option<u32> {
    let distance = id.checked_sub(from)?;
    if distance < count { to.checked_add(distance) } else { None }
}
