//! A disk that fails, and stops the world, when it is told to; and that forgets what was not synced.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use rustix::io::Errno;

use crate::spool::disk::Disk;

/// When what goes wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plan {
    Nothing,
    /// The process is killed in this call, counted from 0: it may be half done.
    Stop(u64),
    /// So many calls from this one on fail, those that this error is one of.
    Fail {
        from: u64,
        count: u64,
        errno: Errno,
    },
    /// Calls that read fail for good.
    Unreadable,
    /// This call, if it is a write, writes a part only.
    Short(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Read,
    Create,
    Write,
    Sync,
    Remove,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    data: Vec<u8>,
    durable: Vec<u8>,
    /// Not durable yet.
    writes: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug)]
struct World {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    name_changes: Vec<(String, Option<usize>)>,
    calls: u64,
    plan: Plan,
    random: u64,
}

/// The disk; a clone is the same one.
#[derive(Clone, Debug)]
pub(super) struct Fault(Rc<RefCell<World>>);

impl Fault {
    pub(super) fn new(plan: Plan, seed: u64) -> Self {
        let (names, durable_names) = Default::default();
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let world =
            World { inodes: Vec::new(), names, durable_names, name_changes: Vec::new(), calls: 0, plan, random };
        Self(Rc::new(RefCell::new(world)))
    }

    pub(super) fn plan(&self, plan: Plan) {
        let mut world = self.0.borrow_mut();
        (world.plan, world.calls) = (plan, 0);
    }

    pub(super) fn calls(&self) -> u64 {
        self.0.borrow().calls
    }

    pub(super) fn is_stopped(&self) -> bool {
        let world = self.0.borrow();
        matches!(world.plan, Plan::Stop(at) if world.calls > at)
    }

    /// After kill -9: all that was written is there.
    pub(super) fn killed(&self) -> Self {
        let mut world = self.0.borrow().clone();
        world.plan = Plan::Nothing;
        Self(Rc::new(RefCell::new(world)))
    }

    /// After a power cut: of what was not synced, each write and each name is there, is not, or is there in part.
    pub(super) fn power_cut(&self, seed: u64) -> Self {
        let after = self.killed();
        {
            let mut guard = after.0.borrow_mut();
            let world = &mut *guard;
            world.random ^= seed.wrapping_mul(0x2545_f491_4f6c_dd1d);
            let mut random = Random(world.random | 1);
            for inode in &mut world.inodes {
                for (offset, bytes) in std::mem::take(&mut inode.writes) {
                    let keep = [0, bytes.len(), random.below(bytes.len() + 1)][random.below(3)];
                    put(&mut inode.durable, offset, &bytes[..keep]);
                }
                inode.data.clone_from(&inode.durable);
            }
            for (name, inode) in std::mem::take(&mut world.name_changes) {
                if random.below(2) == 0 {
                    set(&mut world.durable_names, name, inode);
                }
            }
            world.names = world.durable_names.clone();
        }
        after
    }

    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let world = self.0.borrow();
        world.names.iter().map(|(name, inode)| (name.clone(), world.inodes[*inode].data.clone())).collect()
    }

    /// A disk that holds these files.
    pub(super) fn of(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let disk = Self::new(Plan::Nothing, 1);
        for (name, data) in files {
            let mut world = disk.0.borrow_mut();
            let inode = world.inodes.len();
            world.inodes.push(Inode { data: data.clone(), durable: data.clone(), writes: Vec::new() });
            world.names.insert(name.clone(), inode);
            world.durable_names.insert(name.clone(), inode);
        }
        disk
    }

    /// What a file is sure to be after a power cut now.
    pub(super) fn durable(&self, name: &str) -> Option<Vec<u8>> {
        let world = self.0.borrow();
        Some(world.inodes[*world.durable_names.get(name)?].durable.clone())
    }

    /// Flips a bit of a file.
    pub(super) fn flip(&self, name: &str, bit: usize) {
        let mut world = self.0.borrow_mut();
        let inode = world.names[name];
        world.inodes[inode].data[bit / 8] ^= 1 << (bit % 8);
    }

    fn step(&self, call: Call) -> io::Result<()> {
        let mut world = self.0.borrow_mut();
        let at = world.calls;
        world.calls += 1;
        match world.plan {
            Plan::Stop(stop) if at >= stop => Err(Errno::CANCELED.into()),
            Plan::Fail { from, count, errno } if at >= from && at - from < count && can_fail(call, errno) => {
                Err(errno.into())
            }
            Plan::Unreadable if call == Call::Read => Err(Errno::IO.into()),
            _ => Ok(()),
        }
    }
}

/// Whether a call may fail with an error.
fn can_fail(call: Call, errno: Errno) -> bool {
    match errno {
        Errno::NOSPC => matches!(call, Call::Create | Call::Write),
        Errno::ROFS => matches!(call, Call::Create | Call::Write | Call::Remove),
        _ => true,
    }
}

fn put(to: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    to.resize(to.len().max(offset + bytes.len()), 0);
    to[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn set(names: &mut BTreeMap<String, usize>, name: String, inode: Option<usize>) {
    match inode {
        Some(inode) => names.insert(name, inode),
        None => names.remove(&name),
    };
}

/// Numbers as good as random: xorshift.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}

impl Disk for Fault {
    type File = usize;

    fn list(&self) -> io::Result<Vec<String>> {
        self.step(Call::Read)?;
        Ok(self.0.borrow().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<usize> {
        self.step(Call::Read)?;
        self.0.borrow().names.get(name).copied().ok_or_else(|| Errno::NOENT.into())
    }

    fn create(&self, name: &str) -> io::Result<usize> {
        self.step(Call::Create)?;
        let mut world = self.0.borrow_mut();
        if let Some(inode) = world.names.get(name) {
            return Ok(*inode);
        }
        let inode = world.inodes.len();
        world.inodes.push(Inode::default());
        world.names.insert(name.to_owned(), inode);
        world.name_changes.push((name.to_owned(), Some(inode)));
        Ok(inode)
    }

    fn len(&self, file: &usize) -> io::Result<u64> {
        self.step(Call::Read)?;
        Ok(self.0.borrow().inodes[*file].data.len() as u64)
    }

    fn read_at(&self, file: &usize, to: &mut [u8], offset: u64) -> io::Result<usize> {
        self.step(Call::Read)?;
        let world = self.0.borrow();
        let rest = world.inodes[*file].data.get(offset as usize..).unwrap_or(&[]);
        let count = rest.len().min(to.len());
        to[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, file: &usize, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let at = self.calls();
        let result = self.step(Call::Write);
        let mut world = self.0.borrow_mut();
        let is_short = matches!(world.plan, Plan::Short(short) if short == at);
        let is_dead = matches!(world.plan, Plan::Stop(stop) if at > stop);
        let mut random = Random(world.random);
        let part = random.below(bytes.len());
        world.random = random.0;
        let count = match &result {
            Ok(()) if !is_short => bytes.len(),
            _ if is_dead => 0,
            _ => part.max(1),
        };
        if count > 0 {
            let inode = &mut world.inodes[*file];
            put(&mut inode.data, offset as usize, &bytes[..count]);
            inode.writes.push((offset as usize, bytes[..count].to_vec()));
        }
        result.map(|()| count)
    }

    fn sync(&self, file: &usize) -> io::Result<()> {
        let result = self.step(Call::Sync);
        let is_stopped = self.is_stopped();
        let inode = &mut self.0.borrow_mut().inodes[*file];
        if !is_stopped {
            // After an error, pages count as written although they are not.
            for (offset, bytes) in std::mem::take(&mut inode.writes) {
                if result.is_ok() {
                    put(&mut inode.durable, offset, &bytes);
                }
            }
        }
        result
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.step(Call::Sync)?;
        let mut world = self.0.borrow_mut();
        for (name, inode) in std::mem::take(&mut world.name_changes) {
            set(&mut world.durable_names, name, inode);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.step(Call::Remove)?;
        let mut world = self.0.borrow_mut();
        world.names.remove(name).ok_or(Errno::NOENT)?;
        world.name_changes.push((name.to_owned(), None));
        Ok(())
    }
}
