//! Errors at the edge: which exit code, which outcome, and the mend.

use dp_config::ConfigError;
use dp_shm::ShmError;
use serde_json::json;

/// Exit code of a failed deed.
pub const FAILED: u8 = 1;
/// Exit code of a bad command line or configuration.
pub const USAGE: u8 = 2;

/// The command line or the configuration is at fault; the text says how to mend it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Our own rules say no; the text says why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// The exit code of an error.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let is_usage = error
        .chain()
        .any(|cause| cause.is::<Usage>() || cause.is::<ConfigError>());
    if is_usage { USAGE } else { FAILED }
}

/// The `outcome` of an error in JSON.
pub fn outcome(error: &anyhow::Error) -> &'static str {
    let is = |test: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(test);
    if is(|cause| matches!(cause.downcast_ref(), Some(ShmError::Absent(_)))) {
        "unreachable"
    } else if is(|cause| cause.is::<Refused>() || cause.is::<Usage>() || cause.is::<ConfigError>())
    {
        "refused"
    } else {
        "failed"
    }
}

/// Prints an error for people (stderr) or programs (stdout).
pub fn print(error: &anyhow::Error, as_json: bool) {
    if as_json {
        println!(
            "{}",
            json!({ "outcome": outcome(error), "error": format!("{error:#}") })
        );
    } else {
        eprintln!("error: {error:#}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blame_decides_the_code() {
        let usage = anyhow::Error::new(Usage("use --node".into())).context("status");
        assert_eq!((exit_code(&usage), outcome(&usage)), (USAGE, "refused"));
        let gone = anyhow::Error::new(ShmError::Absent("/dev/shm/x".into()));
        assert_eq!((exit_code(&gone), outcome(&gone)), (FAILED, "unreachable"));
        let other = anyhow::anyhow!("disk on fire");
        assert_eq!((exit_code(&other), outcome(&other)), (FAILED, "failed"));
    }
}
