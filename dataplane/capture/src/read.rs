//! Reads captures, streaming: one line in memory at a time, at most [`LINE_MAX`] bytes.

use crate::{CaptureError, GZIP, LINE_MAX, Record};
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

/// A message as JSON, a compressed one inflated; `None` when it is none, or longer than [`LINE_MAX`].
pub fn as_json(bytes: &[u8]) -> Option<serde_json::Value> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Some(value);
    }
    serde_json::from_slice(&inflated(bytes)?).ok()
}

/// What a gzip or a raw deflate stream holds; `None` when it is neither, or cut.
pub fn inflated(bytes: &[u8]) -> Option<Vec<u8>> {
    let limit = LINE_MAX as u64;
    let mut text = Vec::new();
    let size = if bytes.starts_with(&GZIP) {
        let mut gzip = flate2::read::MultiGzDecoder::new(bytes).take(limit);
        gzip.read_to_end(&mut text)
    } else {
        let mut deflate = flate2::read::DeflateDecoder::new(bytes).take(limit);
        deflate.read_to_end(&mut text)
    };
    size.ok().filter(|size| *size > 0).map(|_| text)
}

/// A capture being read.
pub struct Capture {
    name: String,
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Capture({}:{})", self.name, self.number)
    }
}

impl Capture {
    /// Opens a capture file. Errors: the file cannot be opened or read, with its name.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let name = path.display().to_string();
        let fault = |error| CaptureError::Io {
            at: name.clone(),
            error,
        };
        let file = File::open(path).map_err(fault)?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let head = reader.fill_buf().map_err(fault)?;
        let is_gzip = head.starts_with(&GZIP);
        let reader: Box<dyn BufRead> = if is_gzip {
            Box::new(BufReader::with_capacity(
                1 << 16,
                flate2::bufread::MultiGzDecoder::new(reader),
            ))
        } else {
            Box::new(reader)
        };
        Ok(Self::from_reader(name, reader))
    }

    /// Reads lines from anything; `name` is for error texts.
    pub fn from_reader(name: String, reader: Box<dyn BufRead>) -> Self {
        Self {
            name,
            reader,
            line: Vec::new(),
            number: 0,
        }
    }

    /// The next line, without its end; `None` at the end. Blank lines are passed over.
    ///
    /// Errors: unreadable (cut gzip), or longer than [`LINE_MAX`]; the text names file and line.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, CaptureError> {
        loop {
            self.line.clear();
            self.number += 1;
            let limit = LINE_MAX as u64 + 1;
            let size = self
                .reader
                .by_ref()
                .take(limit)
                .read_until(b'\n', &mut self.line)
                .map_err(|error| CaptureError::Io {
                    at: format!("{}:{}", self.name, self.number),
                    error,
                })?;
            if size == 0 {
                return Ok(None);
            }
            if size > LINE_MAX {
                let at = format!("{}:{}", self.name, self.number);
                return Err(CaptureError::TooLong { at });
            }
            while matches!(self.line.last(), Some(b'\n' | b'\r')) {
                self.line.pop();
            }
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(&self.line));
            }
        }
    }

    /// The next record; `None` at the end.
    ///
    /// Errors: as [`Capture::next_line`], or the line is not of the format; file, line and column
    /// named.
    pub fn next_record(&mut self) -> Result<Option<Record>, CaptureError> {
        let Some(line) = self.next_line()? else {
            return Ok(None);
        };
        let record = Record::parse(line);
        record.map(Some).map_err(|error| CaptureError::Format {
            at: format!("{}:{}", self.name, self.number),
            error,
        })
    }

    /// Number of the line returned last, from 1.
    pub fn line_number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn capture(text: &str) -> Capture {
        let bytes = text.as_bytes().to_vec();
        Capture::from_reader("t.jsonl".into(), Box::new(std::io::Cursor::new(bytes)))
    }

    #[test]
    fn the_four_kinds_of_line() {
        let mut capture = capture(concat!(
            "{\"ts\":null,\"dir\":\"in\",\"conn\":\"ws1\",\"raw\":\"a\\n\"}\n\n",
            "{\"ts\":5,\"dir\":\"in\",\"conn\":\"ws1\",\"raw_b64\":\"AP8=\",\"extra\":1}\r\n",
            "{\"ts\":6,\"dir\":\"out\",\"conn\":\"ws1\",\"event\":\"open\",\"url\":\"wss://x\",\"raw\":null}\n",
            "{\"ts\":7,\"dir\":\"in\",\"conn\":\"http\",\"url\":\"https://x/y\",\"raw\":\"{}\"}",
        ));
        let text = capture.next_record().unwrap().unwrap();
        assert!(text.is_message() && !text.is_rest() && text.ts.is_none());
        assert_eq!(text.bytes().unwrap(), b"a\n");
        let binary = capture.next_record().unwrap().unwrap();
        assert_eq!(binary.bytes().unwrap(), [0, 255]);
        assert!(binary.is_binary() && !text.is_binary());
        assert_eq!(capture.line_number(), 3, "the blank line is counted");
        let open = capture.next_record().unwrap().unwrap();
        assert!(!open.is_message() && open.event.as_deref() == Some("open"));
        assert!(capture.next_record().unwrap().unwrap().is_rest());
        assert!(capture.next_record().unwrap().is_none());
    }

    #[test]
    fn errors_name_file_and_line() {
        let mut bad = capture("{\"raw\":\"a\"}\nnot json\n");
        bad.next_record().unwrap();
        let error = bad.next_record().unwrap_err().to_string();
        assert!(error.starts_with("t.jsonl:2:"), "{error}");
        let error = Capture::open(Path::new("/nowhere/x.jsonl")).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("/nowhere/x.jsonl"), "{error}");
    }

    #[test]
    fn gzip_is_told_by_its_bytes_and_a_cut_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("named_wrongly.jsonl");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for n in 0..2_000 {
            writeln!(gzip, "{{\"ts\":{n},\"conn\":\"ws1\",\"raw\":\"m{n}\"}}").unwrap();
        }
        let bytes = gzip.finish().unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let mut capture = Capture::open(&path).unwrap();
        let mut count = 0;
        while let Some(record) = capture.next_record().unwrap() {
            assert_eq!(record.raw.unwrap(), format!("m{count}"));
            count += 1;
        }
        assert_eq!(count, 2_000);
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let mut capture = Capture::open(&path).unwrap();
        let end = loop {
            match capture.next_record() {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        assert!(end.is_some(), "a cut file must not look whole");
    }

    #[test]
    fn a_gzip_message_is_json_as_its_text_is() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(br#"{"ping":1}"#).unwrap();
        let bytes = gzip.finish().unwrap();
        assert_eq!(as_json(&bytes), as_json(br#"{"ping":1}"#));
        assert!(as_json(&bytes).is_some());
        assert_eq!(as_json(&bytes[..bytes.len() - 9]), None);
        assert_eq!(as_json(b"\x1f\x8b"), None);
    }

    #[test]
    fn base64_of_all_lengths() {
        let bytes = |text: &str| {
            let record = Record {
                raw_b64: Some(text.into()),
                ..Record::default()
            };
            record.bytes()
        };
        for (text, want) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm8", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYg==", b"foob"),
        ] {
            assert_eq!(bytes(text).unwrap(), want);
        }
        assert!(bytes("Z").is_err() && bytes("Zm9*").is_err());
    }
}
