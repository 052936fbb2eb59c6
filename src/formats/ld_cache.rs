//! `/etc/ld.so.cache`: which files `ldconfig(8)` found for a library's name (glibc `sysdeps/generic/dl-cache.h`, the format
//! `glibc-ld.so.cache1.1`, also where it follows the old one in the same file).

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// Most entries that are read.
const ENTRIES: usize = 100_000;

/// The cache, as pairs of name and path in the order of the file; a name may stand in it for several machines.
pub fn parse(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let base =
        if bytes.starts_with(MAGIC) { 0 } else { bytes.windows(MAGIC.len()).position(|window| window == MAGIC)? };
    let cache = bytes.get(base..)?;
    let number = |offset: usize| -> Option<usize> {
        let word: [u8; 4] = cache.get(offset..offset + 4)?.try_into().ok()?;
        // Written in the byte order of the machine; that of this one is tried, for the file is from a root that runs here.
        usize::try_from(u32::from_ne_bytes(word)).ok()
    };
    let count = number(MAGIC.len()).filter(|count| *count <= ENTRIES)?;
    // In a file of both formats string offsets count from the new header all the same.
    let string = |offset: usize| -> Option<String> {
        let text = cache.get(offset..)?.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    (0..count)
        .map(|index| {
            let entry = HEADER + index * ENTRY;
            Some((string(number(entry + 4)?)?, string(number(entry + 8)?)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{HEADER, MAGIC, parse};

    fn cache() -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(1_u32.to_ne_bytes());
        bytes.resize(HEADER, 0);
        let strings = u32::try_from(HEADER + 24).expect("small");
        for word in [3, strings, strings + 10, 0, 0, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(b"libz.so.1\0/lib/libz.so.1\0");
        bytes
    }

    #[test]
    fn a_name_leads_to_its_path() {
        assert_eq!(parse(&cache()), Some(vec![("libz.so.1".into(), "/lib/libz.so.1".into())]));
    }

    #[test]
    fn a_cache_that_is_cut_or_of_another_format_is_none() {
        let whole = cache();
        assert_eq!(parse(&whole[..60]), None);
        assert_eq!(parse(b"something else"), None);
    }
}
