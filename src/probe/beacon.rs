//! A beacon: a listener of parallax on the loopback of one network namespace, for the time of one round of questions.
//!
//! Whoever reaches it sends a challenge and gets it back as a fingerprint under the key of the run, which nobody but the children of this run have. So a connection that
//! comes about proves whose loopback an address leads to, however it is forwarded, and a stranger's listener on that port proves nothing.
//! Nothing is left behind: the sockets end with the process. Holds at most a few connections at a time, each for a moment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};

use crate::snapshot::ObjectId;
use crate::snapshot::secret::RunKey;

/// The bytes of a challenge.
const CHALLENGE: usize = 16;
/// The bytes of an answer: HMAC-SHA-256 in hexadecimal.
const ANSWER: usize = 64;
/// How long one conversation may take; a beacon is on this machine.
const PATIENCE: Duration = Duration::from_millis(1000);

/// A beacon, as others are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Whose loopback it is.
    pub namespace: ObjectId,
    pub ports: Ports,
}

/// Where it listens; none in a family that the loopback does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    pub v4: Option<u16>,
    pub v6: Option<u16>,
}

/// Stands in the network namespace of this process until the time is over. `tell` is given the ports before the first caller can come.
pub fn stand(key: &RunKey, lasts: Duration, tell: impl FnOnce(Ports) -> std::io::Result<()>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let until = Instant::now() + lasts;
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.ok();
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.ok();
        let port = |listener: &Option<TcpListener>| Some(listener.as_ref()?.local_addr().ok()?.port());
        tell(Ports { v4: port(&v4), v6: port(&v6) })?;
        // Past the end there is nobody to tell of it.
        let _over = timeout_at(until, async { tokio::join!(answer_all(v4, key), answer_all(v6, key)) }).await;
        Ok(())
    })
}

async fn answer_all(listener: Option<TcpListener>, key: &RunKey) {
    let Some(listener) = listener else { return };
    loop {
        match listener.accept().await {
            // One after the other: who says nothing costs the next a moment, and no memory.
            Ok((stream, _)) => {
                let _late = timeout(PATIENCE / 5, answer(stream, key)).await;
            }
            Err(_) => tokio::time::sleep(PATIENCE / 5).await,
        }
    }
}

async fn answer(mut stream: TcpStream, key: &RunKey) -> std::io::Result<()> {
    let mut challenge = vec![0; CHALLENGE];
    stream.read_exact(&mut challenge).await?;
    stream.write_all(key.answer(&challenge).as_bytes()).await?;
    stream.shutdown().await
}

/// Whether a connection to this address reaches this beacon; `None` where nobody answered in time, who may still be it.
pub async fn reaches(address: IpAddr, beacon: &Standing, key: &RunKey) -> Option<bool> {
    let port = if address.is_ipv4() { beacon.ports.v4 } else { beacon.ports.v6 };
    let Some(port) = port else { return Some(false) };
    timeout(PATIENCE, converse(SocketAddr::new(address, port), key)).await.ok().map(|said| said == Some(true))
}

async fn converse(address: SocketAddr, key: &RunKey) -> Option<bool> {
    let mut challenge = vec![0; CHALLENGE];
    let filled = rustix::rand::getrandom(&mut challenge, rustix::rand::GetRandomFlags::empty()).ok()?;
    if filled != CHALLENGE {
        return None;
    }
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(&challenge).await.ok()?;
    let mut said = vec![0; ANSWER];
    stream.read_exact(&mut said).await.ok()?;
    Some(said == key.answer(&challenge).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{Ports, Standing, reaches, stand};
    use crate::snapshot::ObjectId;
    use crate::snapshot::secret::RunKey;
    use std::io::{Read, Write};
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    fn key(byte: u8) -> RunKey {
        RunKey::new(vec![byte; 32])
    }

    fn standing(ports: Ports) -> Standing {
        Standing { namespace: ObjectId::new("boot", 1, 2, "nsfs"), ports }
    }

    fn ask(standing: Standing, with: u8) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(reaches(IpAddr::V4(Ipv4Addr::LOCALHOST), &standing, &key(with))) == Some(true)
    }

    #[test]
    fn a_beacon_answers_the_children_of_its_own_run_and_ends_by_itself() {
        let (tell, told) = std::sync::mpsc::channel();
        let beacon = std::thread::spawn(move || {
            stand(&key(1), Duration::from_secs(2), |ports| tell.send(ports).map_err(std::io::Error::other))
        });
        let ports = told.recv().expect("ports");
        let silent = std::net::TcpStream::connect(("127.0.0.1", ports.v4.expect("a port"))).expect("connect");
        assert!(ask(standing(ports), 1), "also behind somebody who says nothing");
        assert!(!ask(standing(ports), 2));
        drop(silent);
        beacon.join().expect("it ends").expect("without an error");
        assert!(!ask(standing(ports), 1));
    }

    #[test]
    fn a_stranger_on_the_port_proves_nothing() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a caller");
            let mut challenge = [0; 16];
            stream.read_exact(&mut challenge).expect("a challenge");
            let _ = stream.write_all(key(9).answer(&challenge).as_bytes());
        });
        assert!(!ask(standing(Ports { v4: Some(port), v6: None }), 1));
    }
}
