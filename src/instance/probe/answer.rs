//! Reading an HTTP/1.x answer (RFC 9112), as much of it as a probe needs. Pure.

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, with what is not UTF-8 replaced.
    pub body: String,
}

impl Answer {
    /// Reads what was received. `None` when it is not complete yet or not HTTP; `finished` says
    /// that nothing more will come, which completes an answer of unknown length.
    pub(super) fn parse(received: &[u8], finished: bool) -> Option<Self> {
        let head_end = received
            .windows(4)
            .position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&received[..head_end]).ok()?;
        let body = &received[head_end + 4..];
        let mut lines = head.split("\r\n");
        let status_line = lines.next()?.strip_prefix("HTTP/1.")?;
        let status: u16 = status_line.split(' ').nth(1)?.parse().ok()?;
        let header = |name: &str| {
            lines.clone().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let body = if header("transfer-encoding").is_some_and(|how| how.contains("chunked")) {
            unchunk(body).or_else(|| finished.then(|| body.to_vec()))?
        } else if let Some(length) = header("content-length").and_then(|text| text.parse().ok()) {
            match body.get(..length) {
                Some(whole) => whole.to_vec(),
                None if finished => body.to_vec(),
                None => return None,
            }
        } else if finished || status == 204 {
            body.to_vec()
        } else {
            return None;
        };
        Some(Self {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    /// The message of an error as `llama-server` writes it, else the status alone.
    pub fn summary(&self) -> String {
        let message = serde_json::from_str::<serde_json::Value>(&self.body)
            .ok()
            .and_then(|body| Some(body.pointer("/error/message")?.as_str()?.to_owned()));
        match message {
            Some(message) => format!("{} {message}", self.status),
            None => self.status.to_string(),
        }
    }
}

/// Joins the chunks; `None` when the last one has not arrived.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = rest.windows(2).position(|window| window == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..line_end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let start = line_end + 2;
        let end = start.checked_add(size)?;
        body.extend_from_slice(rest.get(start..end)?);
        rest = rest.get(end.checked_add(2)?..)?;
    }
}
