//! Who answers for `serve`: not written yet, and says so.

use tokio::time::Instant;

use super::configuration::Configuration;
use crate::serve::{Answer, Answering, Asked, Caller};

/// Knows its caller and nothing else.
pub(super) struct Answers;

impl Answers {
    pub(super) fn new(_configuration: Configuration) -> Self {
        Self
    }
}

impl Answering for Answers {
    async fn answer(&self, caller: &Caller, _asked: Asked, _deadline: Instant) -> Answer {
        Answer::sentence(501, format_args!("pid {} of uid {}: nothing is compared yet", caller.pid, caller.uid))
    }
}
