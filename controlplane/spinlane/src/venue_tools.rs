//! `spinlane venue decode` and `spinlane venue sign`: the venue crates' own code, one line in, one
//! out.
//!
//! `decode` prints for every input line exactly one JSON line: `{"events":[...]}`,
//! `{"ignored":reason}` (one of those `spinlane venue reasons` lists) or `{"error":what}`. `sign` reads one object of the shape of
//! `auth-vectors.json` without its answers and prints `{"signed_payload","signature","request"}`.
//! Neither sends anything; neither keeps a secret.

mod decode;
mod sign;

pub use decode::{Decoder, decode_lines};
pub use sign::sign_object;
pub(crate) use sign::*;

use crate::tools::{venue, with_tool};
use anyhow::{Context as _, bail};
use dp_capture::LINE_MAX;
use dp_venue_api::Reason;
use serde_json::{Value, json};
use std::io::Read as _;

/// Arguments of `spinlane venue decode` and `spinlane venue sign`.
#[derive(Debug, Clone, clap::Args)]
pub struct VenueArgs {
    /// Venue, by its name in the configuration: binance, okx, ...
    #[arg(long)]
    pub venue: String,
}

/// `spinlane venue decode`: lines from standard input, results to standard output.
///
/// Errors: the venue is not in this build, or the streams fail. A line is never an error.
pub fn decode(venue_name: &str) -> anyhow::Result<()> {
    let input = std::io::stdin().lock();
    let output = std::io::BufWriter::new(std::io::stdout().lock());
    with_tool!(venue(venue_name)?, T => decode_lines::<T>(input, output))
        .with_context(|| format!("venue `{venue_name}` has no decoder"))?
}

/// `spinlane venue reasons`: the closed list of what a message is ignored for, with what each means.
pub fn reasons(is_json: bool) -> String {
    let all = Reason::ALL.iter();
    if is_json {
        let list: Vec<_> = all
            .map(|reason| json!({"reason": reason.name(), "meaning": reason.meaning()}))
            .collect();
        return format!("{}\n", json!({ "reasons": list }));
    }
    let lines: Vec<_> = all
        .flat_map(|reason| [reason.name(), "\n    ", reason.meaning(), "\n"])
        .collect();
    lines.concat()
}

/// `spinlane venue sign`: one object from standard input, the signed one to standard output.
///
/// Errors: not such an object, or it holds too little to sign; the text names what is missing.
pub fn sign(venue_name: &str) -> anyhow::Result<()> {
    let id = venue(venue_name)?;
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(LINE_MAX as u64)
        .read_to_string(&mut text)
        .context("reading standard input")?;
    let request: Value =
        serde_json::from_str(&text).context("standard input is not one JSON object")?;
    let Value::Object(request) = request else {
        bail!("standard input is JSON, but not an object");
    };
    println!("{}", sign_object(id, &request)?);
    Ok(())
}
