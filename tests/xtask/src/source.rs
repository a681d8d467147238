//! Invariants written as what is absent: floats near money, unsafe outside its rooms, SQL outside the
//! store, clock reads outside the clock, holes left open.

use crate::Finding;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// A text that must not stand in a source file, unless the path is one of the exceptions.
struct Absence {
    text: &'static str,
    under: &'static str,
    except: &'static [&'static str],
    why: &'static str,
}

const ABSENCES: [Absence; 13] = [
    Absence {
        text: "f64",
        under: "dataplane/types",
        except: &[],
        why: "money is integers",
    },
    Absence {
        text: "f64",
        under: "dataplane/wire",
        except: &[],
        why: "money is integers",
    },
    Absence {
        text: "f64",
        under: "dataplane/book",
        except: &[],
        why: "money is integers",
    },
    Absence {
        text: "f64",
        under: "dataplane/risk",
        except: &[],
        why: "money is integers",
    },
    Absence {
        text: "f64",
        under: "dataplane/oms",
        except: &[],
        why: "money is integers",
    },
    Absence {
        text: "f64",
        under: "dataplane/venues",
        // Deribit's multicast has doubles on the wire; this file makes decimals of them.
        except: &["dataplane/venues/deribit/src/multicast/double.rs"],
        why: "money is integers",
    },
    Absence {
        text: "unsafe {",
        under: "",
        except: &[
            "dataplane/shm",
            "dataplane/transport",
            "dataplane/secret",
            "dataplane/wire/src/scan/wide.rs",
            "tests/hotpath",
            "tests/kernel",
            "tests/xtask",
        ],
        why: "unsafe lives in shm, transport, secret, wire's scan/wide.rs, tests/hotpath and tests/kernel only",
    },
    Absence {
        text: "Instant::now",
        under: "dataplane",
        except: &["dataplane/transport"],
        why: "only transport::clock reads a clock",
    },
    Absence {
        text: "SystemTime::now",
        under: "dataplane",
        except: &["dataplane/transport"],
        why: "only transport::clock reads a clock",
    },
    Absence {
        text: "todo!(",
        under: "",
        except: &["tests/xtask"],
        why: "no holes on main",
    },
    Absence {
        text: "unimplemented!(",
        under: "",
        except: &["tests/xtask"],
        why: "no holes on main",
    },
    Absence {
        text: "#[ignore",
        under: "",
        except: &["tests/xtask"],
        why: "a test runs or says why it was skipped",
    },
    Absence {
        text: "HashMap",
        under: "dataplane/venues",
        except: &[],
        why: "no hashing order in a machine",
    },
];

/// Counting allocators in tests need `unsafe impl`; they are allowed by file name.
const ALLOCATOR_TESTS: &str = "alloc";

/// Words that begin SQL statements; only `controlplane/store` may hold them.
const SQL: [&str; 5] = [
    "SELECT ",
    "INSERT INTO",
    "CREATE TABLE",
    "DELETE FROM",
    "UPDATE ",
];

/// Files longer than this need a second look (style: 150 to 400 lines, look again at 600).
const LINES_MAX: usize = 1_000;

/// Crates the product is built from, each truly used: a call site outside tests, by its path.
const USED: [&str; 11] = [
    "core_affinity::",
    "crossbeam::",
    "hdrhistogram::",
    "io_uring::",
    "libc::",
    "nix::",
    "rustls::",
    "simd_json::",
    "tokio::",
    "tokio_postgres::",
    "tracing::",
];

/// Reads every Rust file below the source rooms.
pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut unused: Vec<&str> = USED.to_vec();
    for file in rust_files(root)? {
        let relative = file.strip_prefix(root).unwrap_or(&file);
        let path = relative.display().to_string();
        let text = std::fs::read_to_string(&file)?;
        judge(&path, &text, &mut findings);
        if !path.contains("tests/") {
            unused.retain(|name| line_of(&text, name).is_none());
        }
    }
    let idle = unused.iter();
    findings.extend(idle.map(|name| format!("{name} has no call site: use it or drop it")));
    Ok(findings)
}

fn judge(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let lines = text.lines().count();
    if lines > LINES_MAX {
        findings.push(format!(
            "{path}: {lines} lines; split it, each file is one idea"
        ));
    }
    let is_test = path.contains("/tests/") || path.ends_with("tests.rs");
    let production = text
        .split("\n#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or(text);
    for absence in &ABSENCES {
        let is_elsewhere = !path.starts_with(absence.under)
            || absence.except.iter().any(|except| path.starts_with(except));
        // Tests may hold a counting allocator, look at a watch, and hash.
        let is_allowed_in_tests = match absence.text {
            "unsafe {" => path.contains(ALLOCATOR_TESTS),
            text => text.contains("::now") || text == "HashMap",
        };
        let is_exempt = is_elsewhere || (is_test && is_allowed_in_tests);
        let body = if absence.text == "#[ignore" {
            text
        } else {
            production
        };
        if !is_exempt && let Some(line) = line_of(body, absence.text) {
            findings.push(format!(
                "{path}:{line}: `{}`: {}",
                absence.text, absence.why
            ));
        }
    }
    let sql_home = path.starts_with("controlplane/store")
        || path.starts_with("tests/")
        || path.contains("/tests/");
    if !sql_home {
        for word in SQL {
            let quoted = production.lines().position(|line| {
                let code = line.trim_start();
                !code.starts_with("//") && code.contains('"') && code.contains(word)
            });
            if let Some(at) = quoted {
                findings.push(format!(
                    "{path}:{}: SQL lives in controlplane/store only",
                    at + 1
                ));
            }
        }
    }
}

/// First line whose code (not its comment) holds `text` as a whole word.
fn line_of(body: &str, text: &str) -> Option<usize> {
    body.lines()
        .position(|line| {
            let code = line.split("//").next().unwrap_or(line);
            code.match_indices(text).any(|(at, _)| {
                let before = code[..at].chars().next_back();
                let after = code[at + text.len()..].chars().next();
                let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                let is_longer = text.ends_with(char::is_alphanumeric) && is_word(after);
                !is_word(before) && !is_longer
            })
        })
        .map(|at| at + 1)
}

fn rust_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let rooms = [
        "dataplane",
        "controlplane",
        "kernel-tuning",
        "image",
        "bench",
        "tests",
    ];
    let mut queue: Vec<PathBuf> = rooms.iter().map(|room| root.join(room)).collect();
    while let Some(folder) = queue.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() && !path.ends_with("target") {
                queue.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        let mut findings = Vec::new();
        judge(path, text, &mut findings);
        findings.len()
    }

    #[test]
    fn absences_are_found_in_code_and_not_in_comments() {
        assert_eq!(findings("dataplane/book/src/flat.rs", "fn a(x: f64) {}"), 1);
        assert_eq!(findings("dataplane/book/src/flat.rs", "// no f64 here"), 0);
        assert_eq!(findings("dataplane/book/src/flat.rs", "let f64x = 1;"), 0);
        assert_eq!(
            findings("dataplane/transport/src/uring.rs", "unsafe { x() }"),
            0
        );
        assert_eq!(
            findings("dataplane/wire/src/scan/wide.rs", "unsafe { x() }"),
            0
        );
        assert_eq!(findings("dataplane/wire/src/scan.rs", "unsafe { x() }"), 1);
        assert_eq!(
            findings("dataplane/lane/src/engine.rs", "unsafe { x() }"),
            1
        );
        assert_eq!(
            findings("controlplane/spinlane/src/demo.rs", "let q = \"SELECT 1\";"),
            1
        );
        assert_eq!(
            findings("controlplane/store/src/query.rs", "let q = \"SELECT 1\";"),
            0
        );
    }
}
