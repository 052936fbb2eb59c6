//! One handler of binfmt_misc, as its file shows it (`Documentation/admin-guide/binfmt-misc.rst`, `bm_entry_read` in
//! `fs/binfmt_misc.c`).

/// One handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    pub enabled: bool,
    /// The program that is started instead.
    pub interpreter: String,
    /// Letters of `flags:`; `F` means that the interpreter was opened when it was registered and is found in every root.
    pub flags: String,
    pub rule: Rule,
}

/// What it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Files whose bytes from `offset` are `magic` where `mask` has ones.
    Magic { offset: usize, magic: Vec<u8>, mask: Option<Vec<u8>> },
    /// Files whose name ends with a point and this.
    Extension(String),
}

/// Reads one handler; `None` where it is none.
pub fn parse(text: &[u8]) -> Option<Handler> {
    let text = std::str::from_utf8(text).ok()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let enabled = match text.lines().next()? {
        "enabled" => true,
        "disabled" => false,
        _ => return None,
    };
    let rule = match field("extension ") {
        Some(extension) => Rule::Extension(extension.trim_start_matches('.').to_owned()),
        None => Rule::Magic {
            offset: field("offset ")?.parse().ok()?,
            magic: bytes(field("magic ")?)?,
            mask: match field("mask ") {
                Some(mask) => Some(bytes(mask)?),
                None => None,
            },
        },
    };
    Some(Handler {
        enabled,
        interpreter: field("interpreter ")?.to_owned(),
        flags: field("flags:").unwrap_or_default().to_owned(),
        rule,
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = hex
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    digits.chunks(2).map(|pair| Some(pair.first()? * 16 + pair.get(1)?)).collect()
}

impl Handler {
    /// Whether it takes a file of this name with this beginning.
    pub fn takes(&self, path: &str, start: &[u8]) -> bool {
        match &self.rule {
            Rule::Extension(wanted) => {
                path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).is_some_and(|(_, end)| end == wanted)
            }
            Rule::Magic { offset, magic, mask } => {
                // The kernel's buffer is filled up with zeros beyond the file's end.
                let at = |index: usize| start.get(offset + index).copied().unwrap_or(0);
                let mask = |index: usize| mask.as_ref().and_then(|mask| mask.get(index)).copied().unwrap_or(0xff);
                magic.iter().enumerate().all(|(index, byte)| (byte ^ at(index)) & mask(index) == 0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    const QEMU: &[u8] = b"enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\nmagic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    #[test]
    fn a_handler_takes_what_its_magic_and_mask_say() {
        let handler = parse(QEMU).expect("a handler");
        let mut elf = [0_u8; 64];
        elf[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
        (elf[16], elf[18]) = (3, 183);
        assert!(handler.enabled && handler.flags.contains('F'));
        assert!(handler.takes("/bin/sh", &elf), "an ET_DYN of aarch64");
        elf[18] = 62;
        assert!(!handler.takes("/bin/sh", &elf), "another machine");
    }

    #[test]
    fn an_extension_is_that_of_the_last_component() {
        let handler = parse(b"disabled\ninterpreter /usr/bin/wine\nflags: \nextension .exe\n").expect("a handler");
        assert!(!handler.enabled && handler.takes("/a/b.exe", b"") && !handler.takes("/a.exe/b", b""));
    }

    #[test]
    fn a_text_that_is_no_handler_is_none() {
        assert_eq!(parse(b"enabled\noffset x\n"), None);
        assert_eq!(parse(b""), None);
    }
}
