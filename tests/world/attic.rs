//! A stand-in for an attic server, which speaks the documented answers and nothing else: `nix-cache-info` and narinfos of a directory, and the
//! description of one cache. It asks for a token everywhere, as a private cache does, and keeps what it was shown.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The first line of a request, and the `Authorization` that was shown with it.
type Asked = (String, Option<String>);

/// A server that runs until it is dropped.
pub struct StandIn {
    pub port: u16,
    /// The first line and the `Authorization` of every request.
    pub asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
}

/// What it serves.
pub struct Served {
    /// The cache's name.
    pub cache: &'static str,
    pub directory: PathBuf,
    pub public_key: String,
    pub token: String,
    /// What it takes for its own address.
    pub address: String,
}

impl StandIn {
    /// Listens on all addresses of the host.
    pub fn serve(served: Served) -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, kept, served) = (Arc::clone(&stop), Arc::clone(&asked), Arc::new(served));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                // Whoever connects and asks nothing keeps nobody else waiting.
                let (served, kept) = (Arc::clone(&served), Arc::clone(&kept));
                std::thread::spawn(move || talk(stream, &served, &kept, port));
            }
        });
        Self { port, asked, stop }
    }
}

fn talk(mut stream: TcpStream, served: &Served, kept: &Mutex<Vec<Asked>>, port: u16) {
    let head = head(&mut stream);
    let line = head.lines().next().unwrap_or_default().to_owned();
    let authorization = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("authorization").then(|| value.trim().to_owned())
    });
    let (status, body) = served.answer(&line, authorization.as_deref(), port);
    kept.lock().expect("a list").push((line, authorization));
    let length = body.len();
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(&body);
}

fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Served {
    fn answer(&self, line: &str, authorization: Option<&str>, port: u16) -> (&'static str, Vec<u8>) {
        use base64::Engine;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!(":{}", self.token));
        let good = [format!("Bearer {}", self.token), format!("Basic {basic}")];
        if !authorization.is_some_and(|shown| good.iter().any(|good| good == shown)) {
            return ("401 Unauthorized", br#"{"code":401,"error":"Unauthorized","message":"Unauthorized."}"#.to_vec());
        }
        let path = line.split(' ').nth(1).unwrap_or_default();
        if path == format!("/_api/v1/cache-config/{}", self.cache) {
            let address = format!("http://{}:{port}/{}", self.address, self.cache);
            let config = serde_json::json!({"substituter_endpoint": address, "api_endpoint": address, "public_key": self.public_key,
                "is_public": false, "store_dir": "/nix/store", "priority": 41, "upstream_cache_key_names": [], "retention_period": "Global"});
            return ("200 OK", config.to_string().into_bytes());
        }
        let file = path.strip_prefix(&format!("/{}/", self.cache)).filter(|file| !file.contains(".."));
        match file.and_then(|file| std::fs::read(self.directory.join(file)).ok()) {
            Some(text) => ("200 OK", text),
            None => (
                "404 Not Found",
                br#"{"code":404,"error":"NoSuchObject","message":"The requested object does not exist."}"#.to_vec(),
            ),
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}
