//! Files and directories, as a process sees them and as the platter holds them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::Dice;

/// What a power cut leaves whole or not at all.
const SECTOR_BYTES: usize = 512;

const ROOT: u64 = 0;

/// Everything on a disk.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: HashMap<u64, Node>,
    next_id: u64,
}

#[derive(Debug)]
pub(super) enum Node {
    File(File),
    Directory(Directory),
}

#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) seen: Vec<u8>,
    pub(super) platter: Vec<u8>,
    pub(super) unsynced: Vec<Change>,
}

/// A change of a file that no sync has covered.
#[derive(Debug)]
pub(super) enum Change {
    Write { position: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Debug, Default)]
pub(super) struct Directory {
    seen: BTreeMap<String, u64>,
    platter: BTreeMap<String, u64>,
    unsynced: Vec<Naming>,
}

/// A change of a directory that no sync has covered.
#[derive(Clone, Debug)]
enum Naming {
    Link(String, u64),
    Unlink(String),
    /// A rename within the directory, which happens at once or not at all.
    Replace {
        from: String,
        to: String,
        id: u64,
    },
}

impl Default for Tree {
    fn default() -> Tree {
        let nodes = HashMap::from([(ROOT, Node::Directory(Directory::default()))]);
        Tree { nodes, next_id: ROOT + 1 }
    }
}

impl Tree {
    pub(super) fn find(&self, path: &Path) -> io::Result<u64> {
        let mut id = ROOT;
        for name in names_of(path) {
            let directory = self.directory(id)?;
            id = *directory.seen.get(&name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(id)
    }

    pub(super) fn names(&self, id: u64) -> io::Result<Vec<String>> {
        Ok(self.directory(id)?.seen.keys().cloned().collect())
    }

    pub(super) fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        let mut id = ROOT;
        for name in names_of(path) {
            id = match self.directory(id)?.seen.get(&name) {
                Some(&child) => child,
                None => self.link(id, name, Node::Directory(Directory::default()))?,
            };
        }
        self.directory(id).map(|_| ())
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<u64> {
        let (parent, name) = self.parent(path)?;
        self.link(parent, name, Node::File(File::default()))
    }

    fn link(&mut self, parent: u64, name: String, node: Node) -> io::Result<u64> {
        let id = self.next_id;
        self.directory_mut(parent)?.change(Naming::Link(name, id));
        self.next_id += 1;
        self.nodes.insert(id, node);
        Ok(id)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let id = self.find(from)?;
        let (from_parent, from_name) = self.parent(from)?;
        let (to_parent, to_name) = self.parent(to)?;
        if from_parent == to_parent {
            let change = Naming::Replace { from: from_name, to: to_name, id };
            self.directory_mut(from_parent)?.change(change);
        } else {
            self.directory_mut(to_parent)?.change(Naming::Link(to_name, id));
            self.directory_mut(from_parent)?.change(Naming::Unlink(from_name));
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.find(path)?;
        let (parent, name) = self.parent(path)?;
        self.directory_mut(parent)?.change(Naming::Unlink(name));
        Ok(())
    }

    pub(super) fn sync_directory(&mut self, id: u64) -> io::Result<()> {
        let directory = self.directory_mut(id)?;
        directory.platter.clone_from(&directory.seen);
        directory.unsynced.clear();
        Ok(())
    }

    /// A power cut.
    pub(super) fn forget(&mut self, dice: &mut Dice) {
        // In order of creation, so that a seed gives the same outcome each time.
        let mut ids: Vec<u64> = self.nodes.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            match self.nodes.get_mut(&id) {
                Some(Node::File(file)) => file.forget(dice),
                Some(Node::Directory(directory)) => directory.forget(dice),
                None => {}
            }
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files().iter().map(|(_, len)| len).sum()
    }

    pub(super) fn files(&self) -> Vec<(PathBuf, u64)> {
        let (mut files, mut open) = (Vec::new(), vec![(PathBuf::from("/"), ROOT)]);
        while let Some((path, id)) = open.pop() {
            match self.nodes.get(&id) {
                Some(Node::File(file)) => files.push((path, file.seen.len() as u64)),
                Some(Node::Directory(directory)) => {
                    open.extend(directory.seen.iter().map(|(name, &id)| (path.join(name), id)));
                }
                None => {}
            }
        }
        files.sort();
        files
    }

    pub(super) fn file(&self, id: u64) -> io::Result<&File> {
        match self.nodes.get(&id) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn file_mut(&mut self, id: u64) -> io::Result<&mut File> {
        match self.nodes.get_mut(&id) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn node_mut(&mut self, id: u64) -> &mut Node {
        self.nodes.get_mut(&id).expect("nodes are never dropped")
    }

    fn directory(&self, id: u64) -> io::Result<&Directory> {
        match self.nodes.get(&id) {
            Some(Node::Directory(directory)) => Ok(directory),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn directory_mut(&mut self, id: u64) -> io::Result<&mut Directory> {
        match self.nodes.get_mut(&id) {
            Some(Node::Directory(directory)) => Ok(directory),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn parent(&self, path: &Path) -> io::Result<(u64, String)> {
        let mut names = names_of(path);
        let name = names.pop().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = self.find(&names.iter().collect::<PathBuf>())?;
        Ok((parent, name))
    }
}

fn names_of(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect()
}

impl File {
    pub(super) fn write(&mut self, position: usize, bytes: &[u8]) {
        put(&mut self.seen, position, bytes);
        self.unsynced.push(Change::Write { position, bytes: bytes.to_vec() });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.seen.resize(len, 0);
        self.unsynced.push(Change::Length(len));
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { position, bytes } => put(&mut self.platter, position, &bytes),
                Change::Length(len) => self.platter.resize(len, 0),
            }
        }
    }

    fn forget(&mut self, dice: &mut Dice) {
        for change in self.unsynced.drain(..) {
            match (change, dice.below(3)) {
                (_, 0) => {}
                (Change::Length(len), _) => self.platter.resize(len, 0),
                (Change::Write { position, bytes }, 1) => put(&mut self.platter, position, &bytes),
                (Change::Write { position, bytes }, _) => {
                    tear(&mut self.platter, position, &bytes, dice);
                }
            }
        }
        self.seen.clone_from(&self.platter);
    }
}

fn put(file: &mut Vec<u8>, position: usize, bytes: &[u8]) {
    let end = position + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[position..end].copy_from_slice(bytes);
}

/// Writes some of the sectors that the write touches.
fn tear(file: &mut Vec<u8>, position: usize, bytes: &[u8], dice: &mut Dice) {
    let mut start = 0;
    while start < bytes.len() {
        let sector_end = (position + start) / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES;
        let end = (sector_end - position).min(bytes.len());
        if dice.once_in(2) {
            put(file, position + start, &bytes[start..end]);
        }
        start = end;
    }
}

impl Directory {
    fn change(&mut self, naming: Naming) {
        naming.apply(&mut self.seen);
        self.unsynced.push(naming);
    }

    fn forget(&mut self, dice: &mut Dice) {
        let kept = dice.below(self.unsynced.len() + 1);
        for naming in self.unsynced.drain(..).take(kept) {
            naming.apply(&mut self.platter);
        }
        self.seen.clone_from(&self.platter);
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Naming::Link(name, id) => {
                names.insert(name.clone(), *id);
            }
            Naming::Unlink(name) => {
                names.remove(name);
            }
            Naming::Replace { from, to, id } => {
                names.remove(from);
                names.insert(to.clone(), *id);
            }
        }
    }
}
