//! A disk that forgets what was not synced, tears sectors and fails on command.
//!
//! It is a tree in memory that keeps two truths: what a running process sees, and what the platter
//! holds. A power cut throws the first away and leaves the second, with any part of what was on its
//! way: each unsynced write whole, in some of its sectors or not at all; each unsynced change of length
//! or not; the unsynced names of each directory up to some point.
//!
//! # Invariants
//! - Names within one directory become durable in order; names in different directories, and names
//!   and bytes, are independent of each other. That is harsher than most file systems.
//! - After a sync that failed, what it should have written is in the cache and never on the platter,
//!   however often the file is synced again. That is how Linux behaves.
//! - Files that were open before the power cut give only errors.

mod tree;

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use self::tree::{Node, Tree};
use super::Dice;
use crate::Chunk;
use crate::disk::{Disk, DiskFile};

/// What the disk is asked to do, as far as it can be told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Writing bytes. Half of them are written before it fails.
    Write,
    /// Syncing a file.
    Sync,
    /// Syncing a directory.
    SyncDirectory,
    /// Reading bytes.
    Read,
    /// Renaming.
    Rename,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
    /// The power cycle that this handle ends with; `None` for one that outlives them all.
    mounted: Option<u64>,
}

#[derive(Debug)]
struct State {
    tree: Tree,
    dice: Dice,
    /// Rises with each power cut: files opened before are gone.
    power_cycle: u64,
    is_locked: bool,
    /// Syncs of files and directories with names that end so say that they worked, and do nothing.
    lies_about: Option<&'static str>,
    /// Changes until the power goes; `None` when it stays.
    changes_left: Option<usize>,
    failing: Option<(Call, usize, io::ErrorKind)>,
    capacity: Option<u64>,
    syncs: u64,
}

impl FaultyDisk {
    /// An empty disk that does as it is told, until it is told to fail.
    pub fn new(seed: u64) -> FaultyDisk {
        let state = State {
            tree: Tree::default(),
            dice: Dice::new(seed),
            power_cycle: 0,
            is_locked: false,
            lies_about: None,
            changes_left: None,
            failing: None,
            capacity: None,
            syncs: 0,
        };
        FaultyDisk { state: Arc::new(Mutex::new(state)), mounted: None }
    }

    /// A handle for one process: it fails from the next power cut or kill on, so that threads which
    /// outlive their process in the test cannot reach the disk of the next.
    pub fn mount(&self) -> FaultyDisk {
        let mounted = Some(self.state.lock().power_cycle);
        FaultyDisk { state: Arc::clone(&self.state), mounted }
    }

    /// Makes every sync of a file or directory whose name ends with `name_end` a lie: it reports
    /// success and does nothing.
    pub fn lie_about(&self, name_end: &'static str) {
        self.state.lock().lies_about = Some(name_end);
    }

    /// Cuts the power after `changes` more writes, syncs, renames and so on: the next one fails, and
    /// so does everything after it, until [`FaultyDisk::power_on`].
    pub fn cut_power_after(&self, changes: usize) {
        self.state.lock().changes_left = Some(changes);
    }

    /// Whether the power is gone.
    pub fn is_off(&self) -> bool {
        self.state.lock().changes_left == Some(0)
    }

    /// Cuts the power, if it is still there, and turns it on again: what was not synced is gone, or
    /// there in part.
    pub fn power_on(&self) {
        let mut state = self.state.lock();
        let State { tree, dice, .. } = &mut *state;
        tree.forget(dice);
        state.power_cycle += 1;
        state.is_locked = false;
        (state.changes_left, state.failing) = (None, None);
    }

    /// Ends the process but not the machine: what was written is there, synced or not.
    pub fn kill_process(&self) {
        let mut state = self.state.lock();
        state.power_cycle += 1;
        state.is_locked = false;
        (state.changes_left, state.failing) = (None, None);
    }

    /// Lets the `after`-th `call` from now on fail with `error`, once.
    pub fn fail(&self, call: Call, after: usize, error: io::ErrorKind) {
        self.state.lock().failing = Some((call, after, error));
    }

    /// Limits the bytes in files; `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// Bytes in files now.
    pub fn used(&self) -> u64 {
        self.state.lock().tree.bytes()
    }

    /// How many files and directories were synced.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Every file with its length, by path.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        self.state.lock().tree.files()
    }

    /// Changes a file behind everyone's back, on the platter too.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        let id = state.tree.find(path).expect("the file to be damaged is there");
        let Node::File(file) = state.tree.node_mut(id) else { panic!("it is a directory") };
        change(&mut file.seen);
        file.platter.clone_from(&file.seen);
        file.unsynced.clear();
    }
}

impl FaultyDisk {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state.lock();
        let is_alive = self.mounted.is_none_or(|mounted| mounted == state.power_cycle);
        if is_alive { Ok(state) } else { Err(power_is_off()) }
    }
}

impl State {
    /// Counts a change, and fails it when it is told to, or when the power goes.
    fn change(&mut self, call: Option<Call>) -> io::Result<()> {
        match &mut self.changes_left {
            Some(0) => return Err(power_is_off()),
            Some(left) => *left -= 1,
            None => {}
        }
        call.map_or(Ok(()), |call| self.fail_if_told(call))
    }

    fn look(&mut self) -> io::Result<()> {
        if self.changes_left == Some(0) { Err(power_is_off()) } else { Ok(()) }
    }

    fn fail_if_told(&mut self, call: Call) -> io::Result<()> {
        match &mut self.failing {
            Some((failing, 0, error)) if *failing == call => {
                let error = *error;
                self.failing = None;
                Err(error.into())
            }
            Some((failing, after, _)) if *failing == call => {
                *after -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn lies_about(&self, path: &Path) -> bool {
        self.lies_about.is_some_and(|name_end| path.to_string_lossy().ends_with(name_end))
    }

    /// How many of `len` more bytes fit.
    fn room(&self, len: usize) -> usize {
        let Some(capacity) = self.capacity else { return len };
        let left = capacity.saturating_sub(self.tree.bytes());
        len.min(usize::try_from(left).unwrap_or(usize::MAX))
    }
}

impl Disk for FaultyDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        state.change(None)?;
        state.tree.create_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state()?;
        state.look()?;
        match state.tree.find(path) {
            Ok(id) => state.tree.names(id),
            Err(_) => Ok(Vec::new()),
        }
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state()?;
        state.look()?;
        let id = state.tree.find(path)?;
        Ok(Arc::new(FaultyFile {
            disk: self.clone(),
            path: path.to_owned(),
            id,
            power_cycle: state.power_cycle,
        }))
    }

    fn open_to_write(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state()?;
        state.look()?;
        let id = match state.tree.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
                state.change(None)?;
                state.tree.create_file(path)?
            }
            found => found?,
        };
        Ok(Arc::new(FaultyFile {
            disk: self.clone(),
            path: path.to_owned(),
            id,
            power_cycle: state.power_cycle,
        }))
    }

    fn read(&self, path: &Path) -> io::Result<Bytes> {
        let mut state = self.state()?;
        state.look()?;
        state.fail_if_told(Call::Read)?;
        let id = state.tree.find(path)?;
        Ok(Bytes::copy_from_slice(&state.tree.file(id)?.seen))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        state.change(Some(Call::Rename))?;
        state.tree.rename(from, to)
    }

    fn link(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        state.change(None)?;
        state.tree.remove(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        state.change(None)?;
        state.tree.remove(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        state.syncs += 1;
        state.change(Some(Call::SyncDirectory))?;
        let id = state.tree.find(path)?;
        if !state.lies_about(path) {
            state.tree.sync_directory(id)?;
        }
        Ok(())
    }

    fn lock(&self, _: &Path, _: &str) -> io::Result<Option<Box<dyn Send + Sync + Debug>>> {
        let mut state = self.state()?;
        state.look()?;
        if std::mem::replace(&mut state.is_locked, true) {
            return Ok(None);
        }
        Ok(Some(Box::new(Lock { disk: self.clone(), power_cycle: state.power_cycle })))
    }
}

#[derive(Debug)]
struct Lock {
    disk: FaultyDisk,
    power_cycle: u64,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut state = self.disk.state.lock();
        if state.power_cycle == self.power_cycle {
            state.is_locked = false;
        }
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    path: PathBuf,
    id: u64,
    power_cycle: u64,
}

impl FaultyFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state.lock();
        if state.power_cycle == self.power_cycle { Ok(state) } else { Err(power_is_off()) }
    }
}

impl DiskFile for FaultyFile {
    fn size(&self) -> io::Result<u64> {
        let mut state = self.state()?;
        state.look()?;
        Ok(state.tree.file(self.id)?.seen.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.look()?;
        state.fail_if_told(Call::Read)?;
        let start = usize::try_from(position).unwrap_or(usize::MAX);
        let seen = &state.tree.file(self.id)?.seen;
        let bytes = seen.get(start..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> io::Result<()> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let mut state = self.state()?;
        // A write that the power cut interrupts may still reach the platter in part.
        let allowed = state.change(Some(Call::Write));
        let fits = if allowed.is_ok() { state.room(bytes.len()) } else { bytes.len() / 2 };
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        state.tree.file_mut(self.id)?.write(position, &bytes[..fits]);
        allowed?;
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.change(None)?;
        state.tree.file_mut(self.id)?.set_len(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state()?;
        state.syncs += 1;
        let (allowed, is_off) = (state.change(Some(Call::Sync)), state.changes_left == Some(0));
        let is_lying = state.lies_about(&self.path);
        let file = state.tree.file_mut(self.id)?;
        match &allowed {
            Ok(()) if !is_lying => file.sync(),
            // The pages count as clean from now on.
            Err(_) if !is_off => file.unsynced.clear(),
            _ => {}
        }
        allowed
    }

    fn range(self: Arc<Self>, position: u64, len: usize) -> io::Result<Chunk> {
        let mut buffer = vec![0; len];
        self.read_exact_at(&mut buffer, position)?;
        Ok(Chunk::Memory(Bytes::from(buffer)))
    }
}

fn power_is_off() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the power is off")
}

#[cfg(test)]
mod tests;
