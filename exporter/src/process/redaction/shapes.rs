//! Secrets that are known by what they look like, whatever they are called.

use super::{MASK, is_of_a_name};

/// What tokens start with: AWS access key ids, JSON web tokens, those of GitHub, GitLab and Slack.
pub(super) const PREFIXES: [&[u8]; 8] =
    [b"AKIA", b"ASIA", b"eyJ", b"ghp_", b"ghs_", b"github_pat_", b"glpat-", b"xoxb-"];
/// Shorter ones are words.
const TOKEN_MIN: usize = 20;

/// Appends a word without tokens, and without passwords of URLs.
pub(super) fn push(mut word: &[u8], out: &mut Vec<u8>) {
    while let Some((start, end)) = password(word).or_else(|| token(word)) {
        out.extend_from_slice(&word[..start]);
        out.extend_from_slice(MASK);
        word = &word[end..];
    }
    out.extend_from_slice(word);
}

/// Where `SECRET` is in the first `scheme://name:SECRET@host`.
fn password(word: &[u8]) -> Option<(usize, usize)> {
    let start = word.windows(3).position(|bytes| bytes == b"://")? + 3;
    let rest = &word[start..];
    let authority = &rest[..rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len())];
    let end = authority.iter().rposition(|byte| *byte == b'@')?;
    let colon = authority[..end].iter().position(|byte| *byte == b':')?;
    (colon + 1 < end).then_some((start + colon + 1, start + end))
}

fn token(word: &[u8]) -> Option<(usize, usize)> {
    (0..word.len()).find_map(|start| {
        let begins = start == 0 || !word[start - 1].is_ascii_alphanumeric();
        let rest = &word[start..];
        if !begins || !PREFIXES.iter().any(|prefix| rest.starts_with(prefix)) {
            return None;
        }
        let length = rest.iter().take_while(|byte| is_of_a_name(**byte)).count();
        (length >= TOKEN_MIN).then_some((start, start + length))
    })
}
