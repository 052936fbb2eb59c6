//! `nix-cache-info`: what a binary cache says of itself, `Name: value` per line (`src/libstore/binary-cache-store.cc`). Total. No I/O.

/// What a cache says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NixCacheInfo {
    /// The store directory of its paths; Nix refuses a cache of another one.
    pub store: Option<String>,
    /// The lower, the earlier it is asked.
    pub priority: Option<i32>,
    /// Whether it wants to be asked for many paths at once.
    pub want_mass_query: Option<bool>,
}

/// The longest value that is kept.
const LONGEST: usize = 4096;

/// Reads it; `None` for a text that is none (an error page, a captive portal): no line has the form, or it is not text.
pub fn parse(text: &[u8]) -> Option<NixCacheInfo> {
    let text = std::str::from_utf8(text).ok()?;
    let mut info = NixCacheInfo::default();
    let mut any = false;
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name {
            "StoreDir" if value.starts_with('/') && value.len() <= LONGEST => info.store = Some(value.to_owned()),
            "Priority" => info.priority = value.parse().ok(),
            "WantMassQuery" => info.want_mass_query = Some(value == "1"),
            _ => continue,
        }
        any = true;
    }
    any.then_some(info)
}

#[cfg(test)]
mod tests {
    use super::{NixCacheInfo, parse};

    #[test]
    fn a_cache_says_its_store_its_priority_and_what_it_wants() {
        let read = parse(b"StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\nOther: x\n").unwrap();
        let expected =
            NixCacheInfo { store: Some("/nix/store".into()), priority: Some(30), want_mass_query: Some(true) };
        assert_eq!(read, expected);
        assert_eq!(parse(b"WantMassQuery: 0").unwrap().want_mass_query, Some(false));
    }

    #[test]
    fn a_page_that_is_no_cache_is_none() {
        for page in ["", "<html>: no</html>", "StoreDir: relative\n"] {
            assert_eq!(parse(page.as_bytes()), None, "{page}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
