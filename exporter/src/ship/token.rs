//! A bearer token in a file that changes, as that of a service account does.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use tokio::time::Instant;

use super::grpc::Tenant;

/// A kubelet renews a token long before it ends.
const READ_INTERVAL: Duration = Duration::from_secs(10);
/// Longest token.
const TOKEN_MAX: usize = 16 << 10;

/// The token's file, read again now and then.
#[derive(Debug)]
pub(super) struct Token {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last one that was right.
    good: Option<HeaderValue>,
    /// When the file was looked at; nothing: it is to be looked at now.
    read: Option<Instant>,
    /// What was said of the file, while it is wrong and an earlier token goes on.
    said: Option<String>,
}

impl Token {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::new(State { good: None, read: None, said: None }) }
    }

    /// Where it is read.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The header with the token: where the file is wrong, with the last one that was right.
    ///
    /// # Errors
    /// What to do about the file, where there was never one; not what is in it.
    pub(super) fn header(&self) -> Result<Tenant, String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(read), Some(good)) = (state.read, &state.good)
            && read.elapsed() < READ_INTERVAL
        {
            return Ok((AUTHORIZATION, good.clone()));
        }
        match self.read() {
            Ok(value) => *state = State { good: Some(value), read: Some(Instant::now()), said: None },
            Err(wrong) if state.good.is_none() => return Err(wrong),
            Err(wrong) => {
                if state.said.as_ref() != Some(&wrong) {
                    tracing::warn!("{wrong}: the last token that it had stays");
                }
                (state.said, state.read) = (Some(wrong), Some(Instant::now()));
            }
        }
        let good = state.good.clone();
        good.map(|value| (AUTHORIZATION, value)).ok_or_else(|| self.wrong("has no token"))
    }

    /// It was refused: the next one is read anew.
    pub(super) fn refused(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).read = None;
    }

    fn read(&self) -> Result<HeaderValue, String> {
        // A file in memory, or of a few hundred bytes.
        let text = std::fs::read_to_string(&self.path);
        let text = text.map_err(|error| self.wrong(&format!("cannot be read: {error}")))?;
        let token = text.trim();
        if token.is_empty() || token.len() > TOKEN_MAX {
            return Err(self.wrong("has no token"));
        }
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| self.wrong("has no token"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn wrong(&self, what: &str) -> String {
        format!("the file {} of --bearer-token-file {what}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let token = Token::new(path.clone());
        let check = |expected: Result<&str, &str>| match (token.header(), expected) {
            (Ok((name, value)), Ok(expected)) => {
                assert_eq!((name, value.to_str().expect("text")), (AUTHORIZATION, expected));
                assert!(value.is_sensitive() && !format!("{value:?}").contains("one"));
            }
            (Err(said), Err(expected)) => assert!(said.contains(expected), "{said}"),
            (found, _) => panic!("{found:?}, not {expected:?}"),
        };
        check(Err("cannot be read: No such file"));
        for wrong in ["", " \n", "one\ntwo", &"x".repeat(TOKEN_MAX + 1)] {
            std::fs::write(&path, wrong).expect("write");
            check(Err("has no token"));
        }
        std::fs::write(&path, "one\n").expect("write");
        check(Ok("Bearer one"));
        std::fs::write(&path, "two").expect("write");
        check(Ok("Bearer one"));
        tokio::time::advance(READ_INTERVAL).await;
        check(Ok("Bearer two"));
        std::fs::write(&path, "three").expect("write");
        token.refused();
        check(Ok("Bearer three"));
        // What is wrong later ends no token: neither at the next look, nor after a refusal.
        for wrong in ["", "one\ntwo"] {
            std::fs::write(&path, wrong).expect("write");
            tokio::time::advance(READ_INTERVAL).await;
            check(Ok("Bearer three"));
        }
        std::fs::remove_file(&path).expect("remove");
        token.refused();
        check(Ok("Bearer three"));
        std::fs::write(&path, "four").expect("write");
        check(Ok("Bearer three"));
        tokio::time::advance(READ_INTERVAL).await;
        check(Ok("Bearer four"));
    }
}
