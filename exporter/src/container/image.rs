//! References to container images.

use super::Image;

impl Image {
    /// Takes `registry:5000/repository:tag@sha256:...` apart; `None` for what names no repository (a bare image id).
    ///
    /// The grammar is the one of <https://github.com/distribution/reference>.
    #[must_use]
    pub fn parse(reference: &str) -> Option<Self> {
        let (rest, digest) = match reference.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (reference, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let last = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[last..].find(':') {
            Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
            None => (rest, None),
        };
        if name.is_empty() || reference.starts_with("sha256:") {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            tags: tag.filter(|tag| !tag.is_empty()).map(str::to_owned).into_iter().collect(),
            repo_digests: digest.map(|digest| format!("{name}@{digest}")).into_iter().collect(),
        })
    }

    /// What a runtime says an image is: its name as the user wrote it, and what that stands for, a repository with a
    /// digest, or the runtime's own id of the image.
    #[must_use]
    pub fn resolved(name: &str, reference: &str) -> Option<Self> {
        let parsed = Self::parse(name).or_else(|| Self::parse(reference))?;
        Some(match reference.split_once('@') {
            Some((_, digest)) => parsed.with_digest(digest),
            None => parsed,
        })
    }

    /// Adds the digest that the image's name stands for on this node, where the reference had none.
    #[must_use]
    pub fn with_digest(mut self, digest: &str) -> Self {
        if self.repo_digests.is_empty() && !digest.is_empty() {
            self.repo_digests.push(format!("{}@{digest}", self.name));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reference: &str, expected: Option<(&str, &[&str], &[&str])>) {
        let strings = |list: &[&str]| list.iter().map(|text| String::from(*text)).collect();
        let expected = expected.map(|(name, tags, digests)| Image {
            name: name.to_owned(),
            tags: strings(tags),
            repo_digests: strings(digests),
        });
        assert_eq!(Image::parse(reference), expected, "{reference}");
    }

    #[test]
    fn references() {
        check("docker.io/library/nginx:1.29", Some(("docker.io/library/nginx", &["1.29"], &[])));
        check("nginx", Some(("nginx", &[], &[])));
        check("localhost:5000/a/b", Some(("localhost:5000/a/b", &[], &[])));
        check("localhost:5000/a/b:x", Some(("localhost:5000/a/b", &["x"], &[])));
        check("a/b@sha256:00", Some(("a/b", &[], &["a/b@sha256:00"])));
        check("a/b:1@sha256:00", Some(("a/b", &["1"], &["a/b@sha256:00"])));
        check("a/b:", Some(("a/b", &[], &[])));
        check("sha256:00", None);
        check("", None);
        check("@", None);
        check(":", None);
        check("é:ü@ö", Some(("é", &["ü"], &["é@ö"])));
    }

    #[test]
    fn digests() {
        let digests = |reference: &str, digest| Image::parse(reference).unwrap().with_digest(digest).repo_digests;
        assert_eq!(digests("a/b:1", "sha256:11"), ["a/b@sha256:11"]);
        assert_eq!(digests("a/b@sha256:00", "sha256:11"), ["a/b@sha256:00"]);
        assert_eq!(digests("a/b:1", ""), [""; 0]);
    }
}
