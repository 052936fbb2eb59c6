//! A child that stands as a beacon in one network namespace until its handle is dropped. It is killed then, and its sockets go with it.

use serde_json::Value;
use tokio::process::Child;
use tokio::time::Instant;

use super::{Conversation, End, Entrance, Gathered, Record, Request, abandon};
use crate::snapshot::Reason;
use tokio::io::AsyncBufReadExt;
use tokio::time::timeout_at;

/// A beacon that stands.
pub struct Beacon {
    child: Option<Child>,
    /// Its ports, as the probe writes them.
    pub ports: Value,
}

impl Drop for Beacon {
    fn drop(&mut self) {
        self.child.take().into_iter().for_each(abandon);
    }
}

impl Entrance {
    /// Has a child stand where the request leads; its wishes must say so. Fails with the reason, by the deadline.
    pub async fn stand(&self, request: &Request, deadline: Instant) -> Result<Beacon, Reason> {
        let reason = |end: End| match end {
            End::Over(reason) | End::Stuck { reason, .. } => reason,
            End::Done => Reason::NotEntered { why: "the beacon did not stand".into() },
        };
        let (mut child, input, output) = self.spawn().map_err(reason)?;
        let gone = || Reason::NotEntered { why: "the beacon ended before it stood".into() };
        let mut conversation = Conversation::new(output, request, deadline);
        let asked = conversation.ask(input, request, &Gathered::default()).await;
        asked.map_err(|end| end.map_or_else(gone, reason))?;
        loop {
            let mut line = Vec::new();
            match timeout_at(conversation.step_ends, conversation.lines.read_until(b'\n', &mut line)).await {
                Err(_) => return Err(reason(conversation.stuck())),
                Ok(Ok(0) | Err(_)) => return Err(gone()),
                Ok(Ok(_)) => {}
            }
            match serde_json::from_slice(&line) {
                Ok(Record::Entered { .. }) => {}
                Ok(Record::Standing(ports)) => return Ok(Beacon { child: Some(child), ports }),
                Ok(Record::Failed(reason)) => return Err(reason),
                Ok(_) | Err(_) => {
                    let _ = child.start_kill();
                    return Err(gone());
                }
            }
        }
    }
}
