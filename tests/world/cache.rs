//! A binary cache's front door: a server that answers `nix-cache-info` on a port of the host.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A server that runs until it is dropped.
pub struct Cache {
    pub port: u16,
    /// The store directory that it says it is for.
    pub store: Arc<Mutex<String>>,
    stop: Arc<AtomicBool>,
    server: Option<std::thread::JoinHandle<()>>,
}

impl Cache {
    /// Listens on all addresses of the host.
    pub fn serve() -> Self {
        Self::serve_at("0.0.0.0:0")
    }

    /// Listens on this address and port of the host.
    pub fn serve_at(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let store = Arc::new(Mutex::new("/nix/store".to_owned()));
        let said = Arc::clone(&store);
        let server = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let mut request = [0; 1024];
                let _ = stream.read(&mut request);
                let store = said.lock().expect("a lock").clone();
                let body = format!("StoreDir: {store}\nWantMassQuery: 1\nPriority: 30\n");
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { port, store, stop, server: Some(server) }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = std::net::TcpStream::connect(("127.0.0.1", self.port));
        // The port is free for the next world.
        let _ = self.server.take().map(std::thread::JoinHandle::join);
    }
}
