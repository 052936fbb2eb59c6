//! The bounds of a server: how many, how much, how long, how often. What is beyond them is refused with a status that says so.

use std::time::Duration;

/// What a server grants its callers, all together and each class of them. Nothing here is ever "no limit".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all. Beyond them the one whose request has been missing longest is dropped for the new one.
    pub connections: usize,
    /// Connections of one class of callers: a container, a login user, or a service.
    pub connections_per_class: usize,
    /// Bytes of a request's line and headers.
    pub header_bytes: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of all requests and answers that are held at once; a quarter of it at most for one class.
    pub memory: usize,
    /// From the connection to the last byte of the request. A connection carries one request.
    pub request_time: Duration,
    /// For making one answer, its waiting in the queue included.
    pub answer_time: Duration,
    /// For the caller to take the answer in.
    pub read_time: Duration,
    /// Requests of one class of callers in a minute.
    pub requests_per_minute: u32,
    /// Answers that are made at once.
    pub answers: usize,
    /// Requests that wait for their turn.
    pub waiting: usize,
    /// How a caller is known.
    pub knowing: Knowing,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_class: 256,
            header_bytes: 16 << 10,
            body_bytes: 2 << 20,
            memory: 128 << 20,
            request_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(60),
            read_time: Duration::from_secs(30),
            requests_per_minute: 30,
            answers: 4,
            waiting: 64,
            knowing: Knowing::Kernel,
        }
    }
}

/// How a server learns who its caller is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Knowing {
    /// As well as this kernel can: by `SO_PEERPIDFD` (Linux 6.5), else as [`Knowing::Proof`].
    #[default]
    Kernel,
    /// By `SO_PEERCRED` and proof that the process holds the other end, as on kernels without `SO_PEERPIDFD`.
    Proof,
}
