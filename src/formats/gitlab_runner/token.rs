//! The names that runner and machine have towards the server: the public start of a token, and the system id. Pure.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How much of a token is public (`helpers/shorten_token.go`).
const SHORT: usize = 9;

/// The public start of a runner's token, as labels and `CI_RUNNER_SHORT_TOKEN` have it: without the prefix that says what it is.
pub fn short(token: &str) -> String {
    let token = without_prefix(token);
    let mut short: Vec<u8> = token.bytes().take(SHORT).collect();
    // A label of Kubernetes begins and ends with a letter or digit; the runner bends names to that.
    if short.first().is_some_and(|byte| !byte.is_ascii_alphanumeric()) {
        short.pop();
        short.insert(0, b'r');
    }
    if let Some(last) = short.last_mut().filter(|byte| !byte.is_ascii_alphanumeric()) {
        *last = b'r';
    }
    String::from_utf8_lossy(&short).into_owned()
}

fn without_prefix(token: &str) -> &str {
    let partition = |text: &'_ str| {
        let bytes = text.as_bytes();
        matches!(bytes, [b't', b'1'..=b'3', b'_', ..])
    };
    let token = match token.strip_prefix("glrt-") {
        Some(rest) if partition(rest) => rest.get(3..).unwrap_or_default(),
        Some(rest) => rest,
        None if partition(token) => token.get(3..).unwrap_or_default(),
        None => token.strip_prefix("glrtr-").unwrap_or(token),
    };
    let token = token.strip_prefix("glcbt-").unwrap_or(token);
    match token.strip_prefix("GR") {
        Some(rest) if rest.bytes().take(7).filter(u8::is_ascii_hexdigit).count() == 7 => {
            rest.get(7..).unwrap_or_default()
        }
        _ => token,
    }
}

/// The system id in a `.runner_system_id` (`commands/internal/configfile/system_id_state.go`); none where the runner would make a new one.
pub fn system_id(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let rest = text.strip_prefix("s_").or_else(|| text.strip_prefix("r_"))?;
    (rest.len() == 12 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| text.to_owned())
}

/// The system id that a runner gives itself on the machine with this id (`machine-id(5)`); none for an empty id, where it draws a random one.
pub fn system_id_of(machine: &str) -> Option<String> {
    let machine = machine.trim();
    let mut mac = Hmac::<Sha256>::new_from_slice(machine.as_bytes()).ok().filter(|_| !machine.is_empty())?;
    mac.update(b"gitlab-runner");
    let digest = mac.finalize().into_bytes();
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("s_{}", digits.get(..12)?))
}

#[cfg(test)]
mod tests {
    use super::{short, system_id, system_id_of};

    #[test]
    fn a_token_is_shortened_as_the_runner_shortens_it() {
        assert_eq!(short("glrt-AbCdEfGhIjKlMnOp"), "AbCdEfGhI");
        assert_eq!(short("glrt-t3_AbCdEfGhIjKlMnOp"), "AbCdEfGhI");
        assert_eq!(short("t1_AbCdEfGhIjKlMnOp"), "AbCdEfGhI");
        assert_eq!(short("glrtr-AbCdEfGhIjKlMnOp"), "AbCdEfGhI");
        assert_eq!(short("GR1348941AbCdEfGhIjKl"), "AbCdEfGhI");
        assert_eq!(short("_bCdEfGhIjKlMnOp"), "r_bCdEfGh");
        assert_eq!(short("AbCdEfGh-jKlMnOp"), "AbCdEfGhr");
        assert_eq!((short("abc").as_str(), short("").as_str()), ("abc", ""));
    }

    #[test]
    fn a_system_id_follows_from_the_machine_s_id() {
        assert_eq!(system_id_of("0123456789abcdef0123456789abcdef\n").as_deref(), Some("s_ee3af03959fe"));
        assert_eq!(system_id_of(" \n"), None);
        assert_eq!(system_id(b"s_ee3af03959fe\n").as_deref(), Some("s_ee3af03959fe"));
        assert_eq!(system_id(b"s_short"), None);
    }
}
