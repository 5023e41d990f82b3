//! The kernel's audit subsystem, with a rule on opens and a reader in place of auditd.

use std::os::fd::OwnedFd;
use std::process::{self, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with};

use super::peers::PATIENCE;
use super::rows::{ALL_OPENS, OPENS, with};

/// What a record tells: user, process and path, and neither cgroup nor container.
pub(super) const NAME: &str = "audit, a rule on opens: no container";

// include/uapi/linux/netlink.h
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;

// include/uapi/linux/audit.h
const AUDIT_SET: u16 = 1001;
const AUDIT_ADD_RULE: u16 = 1011;
const AUDIT_DEL_RULE: u16 = 1012;
/// The first of the records of one call: it has the call, its result and its process.
const AUDIT_SYSCALL: u16 = 1300;
const AUDIT_FILTER_EXIT: u32 = 4;
const AUDIT_ALWAYS: u32 = 2;
const AUDIT_UID: u32 = 1;
const AUDIT_ARCH: u32 = 11;
const AUDIT_EQUAL: u32 = 0x4000_0000;
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const AUDIT_MAX_FIELDS: usize = 64;
const AUDIT_BITMASK_SIZE: usize = 64;
const STATUS_ENABLED: u32 = 1;
const STATUS_PID: u32 = 4;
const STATUS_BACKLOG_LIMIT: u32 = 0x10;

/// `open`, `openat` and `openat2` (`arch/x86/entry/syscalls/syscall_64.tbl`).
const CALLS: [u32; 3] = [2, 257, 437];
/// What Debian's auditd sets.
const BACKLOG: u32 = 8192;

/// Instructions of one open and close, of a process that the rule is about, or of another one.
///
/// # Errors
/// The kernel has no audit, another auditd runs, or opens were not reported as they should be.
pub(super) fn cost(wanted: bool) -> Result<f64> {
    let audit = Audit::start(wanted)?;
    let mut seen = 0;
    // Only tasks are audited that were made since it is enabled, and not those of the process that takes the records.
    let cost = with(
        || seen += audit.read(),
        || {
            let output = Command::new("/proc/self/exe").arg(OPENS).stderr(Stdio::inherit()).output();
            let output = output.context("run this program")?;
            ensure!(output.status.success(), "the opens ended with {}", output.status);
            Ok(String::from_utf8(output.stdout)?.trim().parse()?)
        },
    );
    audit.stop(wanted)?;
    ensure!(if wanted { seen >= ALL_OPENS } else { seen == 0 }, "{seen} records of {ALL_OPENS} opens");
    cost
}

/// The socket that records come by.
struct Audit(OwnedFd);

impl Audit {
    fn start(wanted: bool) -> Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::AUDIT));
        let audit = Self(socket.context("open audit's socket")?);
        bind(&audit.0, &SocketAddrNetlink::new(0, 0))?;
        audit.ask(AUDIT_ADD_RULE, &rule(wanted)).context("add a rule")?;
        let mask = STATUS_ENABLED | STATUS_PID | STATUS_BACKLOG_LIMIT;
        // struct audit_status: mask, enabled, failure, pid, rate_limit, backlog_limit
        audit.ask(AUDIT_SET, &words(&[mask, 1, 0, process::id(), 0, BACKLOG])).context("enable audit")?;
        Ok(audit)
    }

    fn stop(&self, wanted: bool) -> Result<()> {
        self.ask(AUDIT_DEL_RULE, &rule(wanted)).context("delete the rule")?;
        self.ask(AUDIT_SET, &words(&[STATUS_ENABLED | STATUS_PID, 0, 0, 0])).context("disable audit")
    }

    /// Sends a message and waits until the kernel has taken it.
    fn ask(&self, kind: u16, payload: &[u8]) -> Result<()> {
        let mut message = ((HEADER + payload.len()) as u32).to_ne_bytes().to_vec();
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&(NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
        // A number of ours, and the port: the kernel fills it in.
        message.extend_from_slice(&words(&[1, 0]));
        message.extend_from_slice(payload);
        sendto(&self.0, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut answer = [0; 16 << 10];
        loop {
            let (_, length) = recv(&self.0, &mut answer[..], RecvFlags::empty())?;
            if let (Some(NLMSG_ERROR), Some(error)) = (kind_of(&answer[..length]), answer.get(HEADER..HEADER + 4)) {
                let error = i32::from_ne_bytes(error.try_into()?);
                ensure!(error == 0, "{}", Errno::from_raw_os_error(-error));
                return Ok(());
            }
        }
    }

    /// Waits, and counts the calls that are told of until there is nothing for a while.
    fn read(&self) -> u64 {
        let (mut seen, mut record) = (0, [0; 16 << 10]);
        while poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&PATIENCE)).is_ok_and(|ready| ready > 0) {
            while let Ok((_, length)) = recv(&self.0, &mut record[..], RecvFlags::DONTWAIT) {
                seen += u64::from(kind_of(&record[..length]) == Some(AUDIT_SYSCALL));
            }
        }
        seen
    }
}

/// `struct audit_rule_data`: opens by this process's user, or by one that there is not.
fn rule(wanted: bool) -> Vec<u8> {
    let user = if wanted { rustix::process::getuid().as_raw() } else { u32::MAX - 1 };
    let mut mask = [0; AUDIT_BITMASK_SIZE];
    for call in CALLS {
        mask[call as usize / 32] |= 1 << (call % 32);
    }
    let of = |values: [u32; 2]| {
        let mut all = [0; AUDIT_MAX_FIELDS];
        all[..2].copy_from_slice(&values);
        all
    };
    let parts: [&[u32]; 6] = [
        &[AUDIT_FILTER_EXIT, AUDIT_ALWAYS, 2],
        &mask,
        &of([AUDIT_ARCH, AUDIT_UID]),
        &of([AUDIT_ARCH_X86_64, user]),
        &of([AUDIT_EQUAL, AUDIT_EQUAL]),
        // Bytes of strings.
        &[0],
    ];
    words(&parts.concat())
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The type of a message.
fn kind_of(message: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?))
}
