//! One request and its answer: routes, the size and time of a request, who asks, whose turn it is, and what is refused with which status.

use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::caller::{Caller, PeerError};
use super::class::Class;
use super::connections::{Place, Stage};
use super::limits::Limits;
use super::turns::{NotNow, Turns};
use super::{Answer, Answering, Asked, Method};

/// The path that an [`Answering`] answers.
const CHECK: &str = "/v1/check";
/// What is said to whoever asks for nothing.
const HELP: &str = "This is parallax. It compares the context of whoever asks with the other contexts of this host. \
GET /v1/check?format=table (or json, junit, markdown, codequality) answers with a report and the exit code in the header Parallax-Exit; \
with ?fail the HTTP status is 422 where a job should fail, for curl --fail-with-body. POST a snapshot to /v1/check to have it \
compared in place of what can be seen from outside. GET /v1/version names the version.";
/// The header that holds the exit code.
const EXIT: &str = "parallax-exit";

/// What all exchanges of a server share.
pub(super) struct Shared<A> {
    pub(super) limits: Limits,
    pub(super) answering: Arc<A>,
    pub(super) turns: Arc<Turns>,
}

/// Whoever is at the other end of one connection.
pub(super) struct Peer {
    pub(super) caller: Result<Arc<Caller>, PeerError>,
    pub(super) class: Class,
    pub(super) place: Place,
    /// By when the request must be complete.
    pub(super) until: Instant,
}

/// An answer, and what of the header depends on why.
struct Reply {
    answer: Answer,
    retry_after: Option<u64>,
    allow: Option<&'static str>,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { answer, retry_after: None, allow: None }
    }
}

/// A refusal of a check: whoever goes by the exit code must not take it for coherence.
fn refused(status: u16, sentence: impl std::fmt::Display) -> Reply {
    Answer { exit: Some(3), ..Answer::sentence(status, sentence) }.into()
}

/// Answers one request.
pub(super) async fn respond<A: Answering>(
    shared: &Shared<A>,
    peer: &Peer,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let reply = match (request.method().as_str(), request.uri().path()) {
        ("GET", "/") => Answer::sentence(200, HELP).into(),
        ("GET", "/v1/version") => Answer::sentence(200, env!("CARGO_PKG_VERSION")).into(),
        ("GET", CHECK) => check(shared, peer, Method::Get, request).await,
        ("POST", CHECK) => check(shared, peer, Method::Post, request).await,
        (_, CHECK) => Reply { allow: Some("GET, POST"), ..refused(405, "only GET and POST are answered here") },
        (_, "/" | "/v1/version") => Reply { allow: Some("GET"), ..refused(405, "only GET is answered here") },
        (_, _) => refused(404, "there is nothing here; GET / says what there is"),
    };
    // The caller takes it in now, and holds its bytes until then.
    peer.place.moves_to(Stage::Reading, Instant::now() + shared.limits.read_time);
    if peer.place.takes(reply.answer.body.len()) {
        written(reply)
    } else {
        written(refused(503, "too much is being read at once; come again"))
    }
}

fn written(reply: Reply) -> Response<Full<Bytes>> {
    let Reply { answer, retry_after, allow } = reply;
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(exit) = answer.exit {
        headers.insert(EXIT, HeaderValue::from(u16::from(exit)));
    }
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allow) = allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    response
}

async fn check<A: Answering>(shared: &Shared<A>, peer: &Peer, method: Method, request: Request<Incoming>) -> Reply {
    match checked(shared, peer, method, request).await {
        Ok(reply) | Err(reply) => reply,
    }
}

async fn checked<A: Answering>(
    shared: &Shared<A>,
    peer: &Peer,
    method: Method,
    request: Request<Incoming>,
) -> Result<Reply, Reply> {
    let (query, fail) = query(request.uri().query().unwrap_or_default())?;
    let path = request.uri().path().to_owned();
    let body = match method {
        Method::Get => Vec::new(),
        Method::Post => body(shared, peer, request.into_body()).await?,
    };
    let asked = Asked { method, path, query, body };
    let caller = peer.caller.as_ref().map_err(|error| refused(403, error))?;
    let turn = shared.turns.enter(&peer.class, Instant::now()).map_err(not_now)?;
    let deadline = Instant::now() + shared.limits.answer_time;
    peer.place.moves_to(Stage::Answering, deadline + shared.limits.read_time);
    confirmed(caller).await?;
    let Some(_place) = turn.comes(deadline).await else {
        return Err(Reply { retry_after: Some(30), ..refused(503, "too many others are being answered; come again") });
    };
    let mut answer = made(shared, caller, asked, deadline).await?;
    confirmed(caller).await?;
    if fail && answer.status == 200 && answer.exit.is_some_and(|exit| matches!(exit, 1 | 2 | 3 | 70)) {
        answer.status = 422;
    }
    Ok(answer.into())
}

/// The query without `fail`, and whether that asks for failure as a status.
fn query(text: &str) -> Result<(Vec<(String, String)>, bool), Reply> {
    let mut fail = false;
    let mut rest = Vec::new();
    for (key, value) in url::form_urlencoded::parse(text.as_bytes()).into_owned() {
        match (key.as_str(), value.as_str()) {
            ("fail", "" | "1" | "true") => fail = true,
            ("fail", "0" | "false") => fail = false,
            ("fail", _) => {
                let answer = Answer::sentence(400, "fail is given alone, or as fail=1 or fail=0");
                return Err(Answer { exit: Some(2), ..answer }.into());
            }
            _ => rest.push((key, value)),
        }
    }
    Ok((rest, fail))
}

/// Reads a body within its bounds, whatever its length is said to be.
async fn body<A>(shared: &Shared<A>, peer: &Peer, mut incoming: Incoming) -> Result<Vec<u8>, Reply> {
    let most = shared.limits.body_bytes;
    let too_long = || refused(413, format_args!("at most {most} bytes are taken"));
    if incoming.size_hint().lower() > most as u64 {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    loop {
        let frame = timeout_at(peer.until, incoming.frame()).await;
        let frame = frame.map_err(|_| refused(408, "the request took too long to come"))?;
        let Some(frame) = frame else { return Ok(bytes) };
        let frame = frame.map_err(|error| refused(400, format_args!("the request broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(too_long());
        }
        if !peer.place.takes(data.len()) {
            return Err(Reply { retry_after: Some(5), ..refused(503, "too much is being sent at once; come again") });
        }
        bytes.extend_from_slice(&data);
    }
}

fn not_now(reason: NotNow) -> Reply {
    let (status, sentence, after) = match reason {
        NotNow::TooOften(after) => (429, "you have asked too often; come again later", after),
        NotNow::TooMany(after) => (503, "too many wait for an answer; come again", after),
    };
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    Reply { retry_after: Some(seconds.max(1)), ..refused(status, sentence) }
}

/// Makes the answer, apart from the connection, so that what goes wrong there is told to the caller.
async fn made<A: Answering>(
    shared: &Shared<A>,
    caller: &Arc<Caller>,
    asked: Asked,
    deadline: Instant,
) -> Result<Answer, Reply> {
    let (answering, caller) = (Arc::clone(&shared.answering), Arc::clone(caller));
    let mut making = JoinSet::new();
    making.spawn(async move { answering.answer(&caller, asked, deadline).await });
    match timeout_at(deadline, making.join_next()).await {
        Ok(Some(Ok(answer))) => Ok(answer),
        Ok(Some(Err(_)) | None) => {
            let answer = Answer::sentence(500, "parallax failed while it made the answer; its log says more");
            Err(Answer { exit: Some(70), ..answer }.into())
        }
        Err(_) => Err(refused(504, "the answer took too long")),
    }
}

/// The caller is confirmed on a thread that may wait.
async fn confirmed(caller: &Arc<Caller>) -> Result<(), Reply> {
    let caller = Arc::clone(caller);
    let confirmed = tokio::task::spawn_blocking(move || caller.confirm()).await;
    match confirmed {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(refused(403, error)),
        Err(_) => Err(refused(500, "the caller could not be confirmed")),
    }
}
