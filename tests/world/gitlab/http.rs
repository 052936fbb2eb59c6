//! As much of HTTP/1.1 as a runner and its helper speak to their coordinator: one request on a connection, with a length or in chunks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A request that was read whole.
pub struct Request {
    pub method: String,
    /// The path without the query.
    pub path: String,
    pub query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// Reads one; `None` where the other side hung up.
    pub fn read(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let line = line(&mut reader)?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let url = url::Url::parse("http://coordinator").ok()?.join(&target).ok()?;
        let mut headers = Vec::new();
        loop {
            let line = self::line(&mut reader)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let query = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let mut request = Self { method, path: url.path().to_owned(), query, headers, body: Vec::new() };
        if request.header("expect").is_some() {
            (&mut &*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
        request.body = request.read_body(&mut reader)?;
        Some(request)
    }

    fn read_body(&self, reader: &mut impl BufRead) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        if self.header("transfer-encoding") == Some("chunked") {
            loop {
                let length = u64::from_str_radix(line(reader)?.trim(), 16).ok()?;
                reader.take(length).read_to_end(&mut body).ok()?;
                line(reader)?;
                if length == 0 {
                    return Some(body);
                }
            }
        }
        let length = self.header("content-length").map_or(Ok(0), str::parse).ok()?;
        reader.take(length).read_to_end(&mut body).ok()?;
        Some(body)
    }

    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(parameter, _)| parameter == name).map(|(_, value)| value.as_str())
    }

    /// The first file of a `multipart/form-data` body.
    pub fn file(&self) -> Option<&[u8]> {
        let boundary = self.header("content-type")?.split_once("boundary=")?.1.trim_matches('"');
        let begin = find(&self.body, b"\r\n\r\n")? + 4;
        let end = find(&self.body, format!("\r\n--{boundary}").as_bytes())?;
        self.body.get(begin..end)
    }
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Answers and closes.
pub fn answer(mut stream: &TcpStream, status: &str, headers: &[(&str, String)], body: &str) {
    let extra: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n{extra}\r\n{body}"
    );
}
