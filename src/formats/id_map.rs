//! `/proc/PID/uid_map` and `gid_map` (`user_namespaces(7)`): which ids inside a user namespace stand for which outside.

/// One line of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMapLine {
    /// First id inside the namespace.
    pub inside: u32,
    /// First id in the reader's user namespace (in the parent's, where the reader is a member itself).
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Reads a map; none when a line does not follow the format. An empty map is one that was not written yet.
pub fn parse(text: &[u8]) -> Option<Vec<IdMapLine>> {
    let text = std::str::from_utf8(text).ok()?;
    let line = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(IdMapLine { inside: next()?, outside: next()?, count: next()? })
    };
    text.lines().map(line).collect()
}

/// The id inside the namespace that stands for this one outside; none where nothing does.
pub fn inside(map: &[IdMapLine], outside: u32) -> Option<u32> {
    map.iter().find_map(|line| translate(line.outside, line.inside, line.count, outside))
}

/// The id outside that this one inside stands for; none where it is unmapped.
pub fn outside(map: &[IdMapLine], inside: u32) -> Option<u32> {
    map.iter().find_map(|line| translate(line.inside, line.outside, line.count, inside))
}

fn translate(from: u32, to: u32, count: u32, id: u32) -> Option<u32> {
    let offset = id.checked_sub(from).filter(|offset| *offset < count)?;
    to.checked_add(offset)
}

#[cfg(test)]
mod tests {
    use super::{inside, outside, parse};

    #[test]
    fn ids_are_translated_both_ways_and_unmapped_ones_are_none() {
        let map = parse(b"         0     100000      65536\n      1000       1000          1\n").expect("a map");
        assert_eq!((inside(&map, 100_007), outside(&map, 7)), (Some(7), Some(100_007)));
        assert_eq!((inside(&map, 1000), inside(&map, 0), outside(&map, 65_536)), (Some(1000), None, None));
    }

    #[test]
    fn the_last_id_of_all_does_not_overflow() {
        let map = parse(b"0 4294967290 100\n").expect("a map");
        assert_eq!((outside(&map, 5), outside(&map, 6)), (Some(u32::MAX), None));
    }

    #[test]
    fn a_line_that_is_none_spoils_the_map() {
        assert_eq!(parse(b"0 0\n"), None);
        assert_eq!(parse(b""), Some(Vec::new()));
    }
}
