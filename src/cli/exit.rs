//! Exit codes: documented here, chosen here and nowhere else.

use std::process::ExitCode;

use crate::check::Verdict;

/// What a command came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: coherent, or the command did what was asked.
    Coherent,
    /// 1: at least one incoherence of severity error.
    Incoherent,
    /// 2: usage, configuration, a check file, a waiver or a baseline is wrong.
    Usage,
    /// 3: it could not be determined.
    Undetermined,
    /// 4: only checks of severity warning are incoherent or unknown: taking an observation away must not lower a 4 to a 0.
    Warnings,
    /// 70: parallax itself failed (`EX_SOFTWARE` of sysexits.h).
    Failed,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Coherent => 0,
            Self::Incoherent => 1,
            Self::Usage => 2,
            Self::Undetermined => 3,
            Self::Warnings => 4,
            Self::Failed => 70,
        }
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Coherent => Self::Coherent,
            Verdict::Incoherent => Self::Incoherent,
            Verdict::Warnings => Self::Warnings,
            Verdict::Undetermined => Self::Undetermined,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command could not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The caller can mend it: exit 2. Rendered in full, with its place.
    Usage(String),
    /// parallax can't go on: exit 70.
    Broken(String),
}

impl Failure {
    /// The code it leads to.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Broken(_) => Exit::Failed,
        }
    }

    /// What to say.
    pub fn message(&self) -> &str {
        match self {
            Self::Usage(message) | Self::Broken(message) => message,
        }
    }
}
