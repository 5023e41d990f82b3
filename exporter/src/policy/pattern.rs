//! One path pattern of a rule. Paths are bytes, and absolute as the container sees them.

use globset::{Glob, GlobBuilder};

use super::filter::Anchor;

/// Longest pattern: `PATH_MAX` (include/uapi/linux/limits.h).
pub const PATTERN_MAX: usize = 4096;
/// Longest name of a file: `NAME_MAX` (include/uapi/linux/limits.h).
const NAME_MAX: usize = 255;
/// What means something else than itself.
const SPECIAL: [char; 6] = ['*', '?', '[', '{', '}', '\\'];

/// Which paths a pattern stands for, from what is cheapest to compare to what is dearest.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// `/etc/shadow`: this path.
    Exact(Vec<u8>),
    /// `/etc/*`: what is in this folder, which is given with its last slash.
    Children(Vec<u8>),
    /// `/etc/**`: what is in this folder or below, which is given with its last slash.
    Below(Vec<u8>),
    /// `**/id_rsa`: what has this name, everywhere.
    Name(Vec<u8>),
    /// `**/*.pem`: what has a name that ends so, everywhere.
    Suffix(Vec<u8>),
    /// Everything else: `*`, `?` and `[...]` stay within one name, `**` stands for any number of folders.
    Glob(Glob),
}

/// Why a pattern cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// It starts in no folder.
    #[error("it must start with '/', or with '**/' for everywhere")]
    Relative,
    /// It is longer than any path.
    #[error("it has {0} bytes: a path has {PATTERN_MAX} at most")]
    Long(usize),
    /// One of its names is longer than any file's.
    #[error("the name '{0}' has more than {NAME_MAX} bytes")]
    LongName(String),
    /// No path has this.
    #[error("it has a NUL, which no path has")]
    Nul,
    /// The kernel reports paths without these.
    #[error("it has '{0}' as a name: write the path that it stands for")]
    Dots(String),
    /// There is nothing between two slashes, or behind the last.
    #[error("it has an empty name: write one slash between two names, and none at the end ('DIR/**' is all below DIR)")]
    Empty,
    /// `**` is a part of a name.
    #[error("'**' must stand alone between slashes")]
    Stars,
    /// Alternatives would multiply.
    #[error("it has a brace: write each alternative as a pattern of its own, or '\\{{' for the brace itself")]
    Brace,
    /// It is not a glob.
    #[error("it is not a glob: {0}")]
    Glob(#[from] globset::Error),
}

impl Pattern {
    /// Understands a pattern.
    ///
    /// # Errors
    /// [`Invalid`]
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        check(text)?;
        let is_plain = |part: &str| !part.contains(SPECIAL);
        let folder = |part: &str| format!("{part}/").into_bytes();
        if is_plain(text) {
            return Ok(Self::Exact(text.into()));
        }
        if text == "**" {
            return Ok(Self::Below(b"/".to_vec()));
        }
        if let Some(parent) = text.strip_suffix("/*").filter(|part| is_plain(part)) {
            return Ok(Self::Children(folder(parent)));
        }
        if let Some(parent) = text.strip_suffix("/**").filter(|part| is_plain(part)) {
            return Ok(Self::Below(folder(parent)));
        }
        if let Some(name) = text.strip_prefix("**/").filter(|part| !part.contains('/')) {
            match name.strip_prefix('*') {
                None if is_plain(name) => return Ok(Self::Name(name.into())),
                Some(suffix) if is_plain(suffix) => return Ok(Self::Suffix(suffix.into())),
                _ => {}
            }
        }
        Ok(Self::Glob(glob(text)?))
    }
}

/// What of a pattern's paths the kernel can compare.
pub(super) fn anchor(text: &str) -> Anchor {
    Anchor::of(text.split('/'), &SPECIAL)
}

fn glob(text: &str) -> Result<Glob, globset::Error> {
    // For `globset`, `**/*/a` would stand for `/a` too, whose first name is empty.
    let rooted = text.strip_prefix("**/").map(|rest| format!("/**/{rest}"));
    GlobBuilder::new(rooted.as_deref().unwrap_or(text)).literal_separator(true).backslash_escape(true).build()
}

fn check(text: &str) -> Result<(), Invalid> {
    if text.len() > PATTERN_MAX {
        return Err(Invalid::Long(text.len()));
    }
    if text.contains('\0') {
        return Err(Invalid::Nul);
    }
    if text == "/" {
        return Ok(());
    }
    let mut names = text.split('/');
    if !matches!(names.next(), Some("" | "**")) || text.is_empty() {
        return Err(Invalid::Relative);
    }
    names.try_for_each(check_name)
}

fn check_name(name: &str) -> Result<(), Invalid> {
    match name {
        "" => return Err(Invalid::Empty),
        "." | ".." => return Err(Invalid::Dots(name.to_owned())),
        "**" => return Ok(()),
        _ => {}
    }
    if name.len() > NAME_MAX && !name.contains(SPECIAL) {
        return Err(Invalid::LongName(name.to_owned()));
    }
    if name.contains("**") {
        return Err(Invalid::Stars);
    }
    let mut is_escaped = false;
    for char in name.chars() {
        if matches!(char, '{' | '}') && !is_escaped {
            return Err(Invalid::Brace);
        }
        is_escaped = char == '\\' && !is_escaped;
    }
    // By itself: a class must not reach across a slash.
    glob(name)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Pattern {
        Pattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn shapes() {
        let check = |text: &str, expected: &str| {
            let shown = format!("{:?}", parse(text));
            let shape = shown.split('(').next().unwrap_or_default();
            assert_eq!(shape, expected, "{text}");
        };
        check("/etc/shadow", "Exact");
        check("/", "Exact");
        check("/*", "Children");
        check("/etc/*", "Children");
        check("/etc/**", "Below");
        check("/**", "Below");
        check("**", "Below");
        check("**/id_rsa", "Name");
        check("**/*.pem", "Suffix");
        check("**/*", "Suffix");
        check("**/id_?", "Glob");
        check("**/.ssh/id_rsa", "Glob");
        check("/home/*/.ssh/**", "Glob");
        check("/etc/*.conf", "Glob");
        check("/etc/a\\*", "Glob");
    }

    #[test]
    fn what_is_no_pattern() {
        let check = |text: &str, expected: &str| {
            let error = Pattern::parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        for relative in ["", "etc/shadow", "*", "*/x", "./x", "~/.ssh/id_rsa"] {
            check(relative, "must start with '/'");
        }
        check("/etc/../shadow", "'..'");
        check("/etc/./shadow", "'.'");
        check("**/..", "'..'");
        check("/etc//shadow", "empty name");
        check("/etc/", "empty name");
        check("/etc/\0", "NUL");
        check("/etc/**.conf", "stand alone");
        check("/etc/***", "stand alone");
        check("/etc/{a,b}", "brace");
        check("/etc/a}", "brace");
        check("/etc/[a", "not a glob");
        check("/etc/[a/b]", "not a glob");
        check("/etc/a\\", "not a glob");
        check(&format!("/{}", "a".repeat(256)), "255");
        check(&format!("/{}", "a/".repeat(2048)), "4096");
    }
}
