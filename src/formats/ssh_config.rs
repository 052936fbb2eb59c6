//! `ssh_config(5)`: its lines, and which of them decide for one host (`readconf.c`).
//!
//! The first value of an option counts; `Host` and `Match` say for whom what follows is. What a `Match` leaves to a command is not known here, and an
//! option that it may have set is doubtful, never guessed. Opens no file: what `Include` names is asked of the caller.

mod criteria;
mod effective;
mod words;

pub use effective::{Effective, Included, Sources, effective};
pub use words::{Line, SyntaxError, lines};

#[cfg(test)]
mod tests;
