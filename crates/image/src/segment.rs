//! A loadable part of an image.

/// A loadable part of the image (`PT_LOAD`).
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    /// The address it is linked at.
    pub va: u64,
    /// The physical address it is to be loaded at (`p_paddr`), for whoever starts without page tables
    /// of its own making.
    pub pa: u64,
    /// Its size in memory, in bytes; what [`Segment::bytes`] does not cover is zero at start.
    pub mem_size: u64,
    /// The part that is in the file, from `va` on; at most `mem_size` bytes.
    pub bytes: Vec<u8>,
    /// Whether it may be read.
    pub readable: bool,
    /// Whether it may be written.
    pub writable: bool,
    /// Whether it may be executed.
    pub executable: bool,
}

impl Segment {
    /// Whether the address lies in this segment.
    pub fn contains(&self, va: u64) -> bool {
        va >= self.va && va - self.va < self.mem_size
    }
}

impl std::fmt::Debug for Segment {
    /// Without the bytes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let flag = |set: bool, letter: char| if set { letter } else { '-' };
        let (r, w) = (flag(self.readable, 'r'), flag(self.writable, 'w'));
        let x = flag(self.executable, 'x');
        let (va, mem, file) = (self.va, self.mem_size, self.bytes.len());
        write!(f, "Segment({r}{w}{x} {va:#x}, {mem:#x} bytes, {file:#x} in the file)")
    }
}
