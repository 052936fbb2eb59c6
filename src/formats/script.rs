//! The first line of a script, as the kernel reads it (`load_script` in `fs/binfmt_script.c`, Linux 5.1 and later; `execve(2)`).
//!
//! The kernel looks at the first 256 bytes and at nothing else; a longer line is cut, and refused when the cut could have
//! fallen into the interpreter's path.

/// How many bytes of a file decide how it is started (`BINPRM_BUF_SIZE`).
pub const LOOKED_AT: usize = 256;

/// What a `#!` line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The interpreter, exactly as written: a carriage return at its end is part of it.
    pub interpreter: String,
    /// Everything after it, as one argument.
    pub argument: Option<String>,
}

/// What the beginning of a file is to the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    Script(Script),
    /// It starts with `#!`, and the kernel refuses the line (ENOEXEC).
    Refused(&'static str),
    /// It does not start with `#!`.
    Other,
}

fn blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Reads the beginning of a file; of more than [`LOOKED_AT`] bytes the rest is not looked at.
pub fn parse(start: &[u8]) -> Start {
    let Some(rest) = start.strip_prefix(b"#!") else { return Start::Other };
    // The kernel's buffer is filled up with zeros; its last byte is never part of a path without a line end.
    let mut buffer = rest.get(..rest.len().min(LOOKED_AT - 2)).unwrap_or_default().to_vec();
    let full = buffer.len() == LOOKED_AT - 2;
    let text_end = buffer.iter().position(|byte| *byte == 0).unwrap_or(buffer.len());
    let line_end = buffer.iter().take(text_end).position(|byte| *byte == b'\n');
    match line_end {
        Some(end) => buffer.truncate(end),
        None if full => {
            buffer.pop();
            let Some(first) = buffer.iter().position(|byte| !blank(*byte)) else {
                return Start::Refused("its first line is blank");
            };
            let ends = |byte: &u8| blank(*byte) || *byte == 0;
            if !buffer.get(first..).is_some_and(|path| path.iter().any(ends)) {
                return Start::Refused("its first line is longer than 255 bytes, within the interpreter's path");
            }
        }
        None => {}
    }
    let text_end = buffer.iter().position(|byte| *byte == 0).unwrap_or(buffer.len());
    buffer.truncate(text_end);
    let line = trim(&buffer);
    if line.is_empty() {
        return Start::Refused("its first line names no interpreter");
    }
    let end = line.iter().position(|byte| blank(*byte)).unwrap_or(line.len());
    let (interpreter, argument) = line.split_at(end);
    let argument = trim(argument);
    Start::Script(Script {
        interpreter: String::from_utf8_lossy(interpreter).into_owned(),
        argument: (!argument.is_empty()).then(|| String::from_utf8_lossy(argument).into_owned()),
    })
}

fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !blank(*byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !blank(*byte)).map_or(start, |last| last + 1);
    bytes.get(start..end).unwrap_or_default()
}

/// Which program `env` would look for on PATH, given the one argument of a `#!` line (`env(1)`: GNU coreutils and BusyBox).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvArgument {
    /// This name.
    Program(String),
    /// It would print its environment and end.
    Nothing,
    /// An option or an escape that is not read here.
    Unknown(String),
}

/// Reads the argument of `#!/usr/bin/env …`. Without `-S` all of it is one program's name, blanks included.
pub fn env_argument(argument: Option<&str>) -> EnvArgument {
    let Some(argument) = argument else { return EnvArgument::Nothing };
    let split = argument.strip_prefix("--split-string=").or_else(|| argument.strip_prefix("-S"));
    let Some(split) = split else {
        return match argument {
            name if name.starts_with('-') || name.contains('=') => EnvArgument::Unknown(name.to_owned()),
            name => EnvArgument::Program(name.to_owned()),
        };
    };
    let words = split.split([' ', '\t']).filter(|word| !word.is_empty());
    match words.into_iter().find(|word| !word.contains('=')) {
        None => EnvArgument::Nothing,
        Some(word) if word.starts_with('-') || word.contains(['\\', '\'', '"', '$', '#']) => {
            EnvArgument::Unknown(argument.to_owned())
        }
        Some(word) => EnvArgument::Program(word.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{EnvArgument, LOOKED_AT, Script, Start, env_argument, parse};

    fn script(interpreter: &str, argument: Option<&str>) -> Start {
        Start::Script(Script { interpreter: interpreter.into(), argument: argument.map(str::to_owned) })
    }

    #[test]
    fn everything_after_the_interpreter_is_one_argument() {
        assert_eq!(parse(b"#! /usr/bin/env \t python3 -u \nrest"), script("/usr/bin/env", Some("python3 -u")));
        assert_eq!(parse(b"#!/bin/sh"), script("/bin/sh", None));
    }

    #[test]
    fn a_carriage_return_belongs_to_the_interpreter() {
        assert_eq!(parse(b"#!/bin/sh\r\necho"), script("/bin/sh\r", None));
    }

    #[test]
    fn a_path_that_may_be_cut_is_refused_and_a_cut_argument_is_not() {
        let long = format!("#!/{}\n", "x".repeat(300));
        assert!(matches!(parse(long.as_bytes()), Start::Refused(_)));
        let Start::Script(found) = parse(format!("#!/bin/sh {}\n", "x".repeat(300)).as_bytes()) else {
            panic!("a script")
        };
        assert_eq!(found.argument.map(|argument| argument.len()), Some(LOOKED_AT - 1 - "#!/bin/sh ".len()));
    }

    #[test]
    fn a_line_without_interpreter_is_refused() {
        assert!(matches!(parse(b"#!\n"), Start::Refused(_)));
        assert!(matches!(parse(b"#!   \t\n"), Start::Refused(_)));
        assert_eq!(parse(b""), Start::Other);
    }

    #[test]
    fn env_takes_blanks_as_part_of_the_name_unless_it_is_told_to_split() {
        assert_eq!(env_argument(Some("python3 -u")), EnvArgument::Program("python3 -u".into()));
        assert_eq!(env_argument(Some("-S A=1 python3 -u")), EnvArgument::Program("python3".into()));
        assert_eq!(env_argument(Some("-i")), EnvArgument::Unknown("-i".into()));
        assert_eq!(env_argument(None), EnvArgument::Nothing);
    }
}
