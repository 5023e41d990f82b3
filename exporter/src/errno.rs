//! Names of error numbers.

/// The symbol of a positive error number, such as `EACCES` for 13; nothing for a number that has none.
///
/// Numbers are those of include/uapi/asm-generic/errno-base.h and errno.h, which x86-64 and arm64 use.
#[must_use]
pub fn symbol(errno: i32) -> Option<&'static str> {
    let index = usize::try_from(errno).ok()?.checked_sub(1)?;
    SYMBOLS.get(index).copied().filter(|symbol| !symbol.is_empty())
}

/// From 1; 41 and 58 are not in use (`EWOULDBLOCK` is `EAGAIN`, `EDEADLOCK` is `EDEADLK`).
#[rustfmt::skip]
const SYMBOLS: [&str; 133] = [
    "EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD", "EAGAIN", "ENOMEM",
    "EACCES", "EFAULT", "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV", "ENOTDIR", "EISDIR", "EINVAL", "ENFILE",
    "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC", "ESPIPE", "EROFS", "EMLINK", "EPIPE", "EDOM", "ERANGE",
    "EDEADLK", "ENAMETOOLONG", "ENOLCK", "ENOSYS", "ENOTEMPTY", "ELOOP", "", "ENOMSG", "EIDRM", "ECHRNG", "EL2NSYNC",
    "EL3HLT", "EL3RST", "ELNRNG", "EUNATCH", "ENOCSI", "EL2HLT", "EBADE", "EBADR", "EXFULL", "ENOANO", "EBADRQC",
    "EBADSLT", "", "EBFONT", "ENOSTR", "ENODATA", "ETIME", "ENOSR", "ENONET", "ENOPKG", "EREMOTE", "ENOLINK", "EADV",
    "ESRMNT", "ECOMM", "EPROTO", "EMULTIHOP", "EDOTDOT", "EBADMSG", "EOVERFLOW", "ENOTUNIQ", "EBADFD", "EREMCHG",
    "ELIBACC", "ELIBBAD", "ELIBSCN", "ELIBMAX", "ELIBEXEC", "EILSEQ", "ERESTART", "ESTRPIPE", "EUSERS", "ENOTSOCK",
    "EDESTADDRREQ", "EMSGSIZE", "EPROTOTYPE", "ENOPROTOOPT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EOPNOTSUPP",
    "EPFNOSUPPORT", "EAFNOSUPPORT", "EADDRINUSE", "EADDRNOTAVAIL", "ENETDOWN", "ENETUNREACH", "ENETRESET",
    "ECONNABORTED", "ECONNRESET", "ENOBUFS", "EISCONN", "ENOTCONN", "ESHUTDOWN", "ETOOMANYREFS", "ETIMEDOUT",
    "ECONNREFUSED", "EHOSTDOWN", "EHOSTUNREACH", "EALREADY", "EINPROGRESS", "ESTALE", "EUCLEAN", "ENOTNAM", "ENAVAIL",
    "EISNAM", "EREMOTEIO", "EDQUOT", "ENOMEDIUM", "EMEDIUMTYPE", "ECANCELED", "ENOKEY", "EKEYEXPIRED", "EKEYREVOKED",
    "EKEYREJECTED", "EOWNERDEAD", "ENOTRECOVERABLE", "ERFKILL", "EHWPOISON",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn check(errno: i32, expected: Option<&str>) {
        assert_eq!(symbol(errno), expected, "{errno}");
    }

    #[test]
    fn symbols() {
        check(1, Some("EPERM"));
        check(2, Some("ENOENT"));
        check(13, Some("EACCES"));
        check(40, Some("ELOOP"));
        check(41, None);
        check(42, Some("ENOMSG"));
        check(58, None);
        check(61, Some("ENODATA"));
        check(95, Some("EOPNOTSUPP"));
        check(116, Some("ESTALE"));
        check(133, Some("EHWPOISON"));
    }

    #[test]
    fn numbers_without_a_symbol() {
        for errno in [i32::MIN, -1, 0, 134, 512, i32::MAX] {
            check(errno, None);
        }
    }

    #[test]
    fn no_symbol_twice() {
        let named: Vec<_> = SYMBOLS.iter().filter(|symbol| !symbol.is_empty()).collect();
        assert_eq!(named.len(), 131);
        assert_eq!(named.iter().collect::<HashSet<_>>().len(), 131);
    }
}
