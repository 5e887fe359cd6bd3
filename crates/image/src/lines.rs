//! Source positions of code.

use std::sync::Mutex;

use crate::dwarf::{DebugInfo, Reader};
use crate::name::demangle;

/// One function that an address belongs to, and the position in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The function's demangled name without hash; [`crate::short_name`] makes it shorter. Empty
    /// if neither the debug information nor the symbol table has one.
    pub function: String,
    /// The source file, shortened by the first rule that fits:
    ///
    /// 1. Rust's library by its crate: `core/src/sync/atomic.rs`;
    /// 2. a crate of a registry by its folder: `bitflags-2.9.0/src/lib.rs`;
    /// 3. relative to the deepest folder that holds all folders the image was compiled in, which
    ///    for one workspace or kernel is its root: `arch/x86/mm/tlb.c`;
    /// 4. if there is no such folder, relative to the parent of the one it was compiled in;
    /// 5. the last three components.
    pub file: Option<String>,
    /// The line, from 1; `None` where the compiler gives none.
    pub line: Option<u32>,
    /// The column, from 1; `None` where the compiler gives none.
    pub column: Option<u32>,
    /// True if this function was inlined into the next frame's.
    pub inlined: bool,
}

/// The line tables, parsed unit by unit when first asked for.
pub(crate) struct Lines {
    /// The context, behind a lock: its caches cannot be shared between threads.
    context: Mutex<addr2line::Context<Reader>>,
}

impl Lines {
    pub(crate) fn new(info: &DebugInfo) -> Result<Lines, gimli::Error> {
        let context = addr2line::Context::from_arc_dwarf(info.dwarf.clone())?;
        Ok(Lines { context: Mutex::new(context) })
    }

    /// Returns the frames, innermost first; empty if the debug information does not cover the
    /// address.
    ///
    /// A function without a name has an empty one.
    pub(crate) fn frames(&self, info: &DebugInfo, va: u64) -> Vec<Frame> {
        let context = self.context.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut frames = Vec::new();
        let Ok(mut found) = context.find_frames(va).skip_all_loads() else { return frames };
        while let Ok(Some(frame)) = found.next() {
            let raw = frame.function.as_ref().and_then(|name| name.raw_name().ok());
            let location = frame.location.as_ref();
            let positive = |number: u32| (number > 0).then_some(number);
            frames.push(Frame {
                function: raw.map_or_else(String::new, |raw| demangle(&raw)),
                file: location.and_then(|at| at.file).map(|file| info.roots.shorten(file)),
                line: location.and_then(|at| at.line).and_then(positive),
                column: location.and_then(|at| at.column).and_then(positive),
                inlined: true,
            });
        }
        if let Some(last) = frames.last_mut() {
            last.inlined = false;
        }
        frames
    }
}
