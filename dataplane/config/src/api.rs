//! `[api]`: the control plane's HTTP listener, off unless it is named.
//!
//! ```toml
//! [api]
//! listen = "127.0.0.1:9470"             # plain HTTP: this machine alone
//! token_file = "/etc/spinlane/api.token"   # 32 characters at least, readable by nobody else
//! ```
//!
//! The dataplane reads neither: it only checks, with the rest of the file, that they make sense.

use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// `[api]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Address and port to listen on; a loopback address.
    pub listen: SocketAddr,
    /// File that holds the token every request must bear.
    pub token_file: PathBuf,
}

impl Api {
    /// Errors: the key and the sentence.
    pub(crate) fn check(&self) -> Result<(), (String, String)> {
        let refuse = |key: &str, why: String| Err((format!("api.{key}"), why));
        if !self.listen.ip().is_loopback() {
            let why = format!(
                "{} is not this machine's own: the listener speaks plain HTTP; use 127.0.0.1:9470 and a tunnel",
                self.listen
            );
            return refuse("listen", why);
        }
        if self.token_file.as_os_str().is_empty() {
            return refuse("token_file", "name a file that holds the token".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{GOOD, load};

    #[test]
    fn the_listener_is_off_unless_named_and_never_leaves_the_machine() {
        assert!(load(GOOD).unwrap().api.is_none());
        let with = |listen: &str| {
            load(&format!(
                "{GOOD}[api]\nlisten = \"{listen}\"\ntoken_file = \"/etc/t\"\n"
            ))
        };
        for own in ["127.0.0.1:9470", "127.0.0.2:1", "[::1]:9470"] {
            let api = with(own).unwrap().api.unwrap();
            assert_eq!(api.listen.to_string(), own);
        }
        for wide in ["0.0.0.0:9470", "10.0.0.7:9470", "[::]:9470"] {
            let error = with(wide).unwrap_err();
            assert!(
                error.contains("api.listen") && error.contains("plain HTTP"),
                "{error}"
            );
        }
        let error = with("localhost:9470").unwrap_err();
        assert!(error.contains("listen"), "{error}");
        let error = load(&format!("{GOOD}[api]\nlisten = \"127.0.0.1:1\"\n")).unwrap_err();
        assert!(error.contains("token_file"), "{error}");
        let error = with("127.0.0.1:1\"\nport = \"1").unwrap_err();
        assert!(error.contains("port"), "{error}");
    }
}
