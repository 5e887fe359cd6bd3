//! A loadable part of an image.

/// A loadable part of the image (`PT_LOAD`).
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    /// The address that it is linked at.
    pub va: u64,
    /// The physical address that it is to be loaded at (`p_paddr`), for a machine that starts
    /// before its guest has made page tables.
    pub pa: u64,
    /// Size in memory, in bytes; the rest after [`Segment::bytes`] is zero at start.
    pub mem_size: u64,
    /// The part in the file, from `va` on; at most `mem_size` bytes.
    pub bytes: Vec<u8>,
    /// Read permission.
    pub readable: bool,
    /// Write permission.
    pub writable: bool,
    /// Execute permission.
    pub executable: bool,
}

impl Segment {
    /// Returns whether the address is in this segment.
    pub fn contains(&self, va: u64) -> bool {
        va >= self.va && va - self.va < self.mem_size
    }
}

impl std::fmt::Debug for Segment {
    /// Formats the segment without its bytes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let flag = |set: bool, letter: char| if set { letter } else { '-' };
        let (r, w) = (flag(self.readable, 'r'), flag(self.writable, 'w'));
        let x = flag(self.executable, 'x');
        let (va, mem, file) = (self.va, self.mem_size, self.bytes.len());
        write!(f, "Segment({r}{w}{x} {va:#x}, {mem:#x} bytes, {file:#x} in the file)")
    }
}
