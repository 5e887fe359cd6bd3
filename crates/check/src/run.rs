//! A run of a kernel on the machine of `bare`: one schedule, no search, no verdict.
//!
//! The image says where its CPUs start and which page tables they start on, by two symbols: [`ENTRY`] and
//! [`PAGE_TABLES`]. Its segments are loaded at their physical addresses.

use std::ops::ControlFlow;
use std::path::Path;

use bare::{Board, Load, Start};
use image::{Image, ImageError};

pub use bare::{Ended, Event, Settings as Options};

/// Symbol where every CPU starts, in 64-bit mode.
pub const ENTRY: &str = "lamprey_boot64";
/// Symbol of the topmost page table that CPUs start on: CR3.
pub const PAGE_TABLES: &str = "boot_page_tables";

/// Why an image cannot be run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of a variant is its documentation")]
pub enum RunError {
    /// The file is no usable image.
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(
        "{image}: no symbol `{symbol}`; a kernel that is run defines {ENTRY} and {PAGE_TABLES}"
    )]
    NoSymbol {
        /// The image.
        image: String,
        /// The symbol.
        symbol: &'static str,
    },
    #[error("{image}: {what}")]
    Board {
        /// The image.
        image: String,
        /// In what way.
        what: String,
    },
}

/// A machine with a kernel in memory.
#[derive(Debug)]
pub struct Run {
    image: Image,
    board: Board,
}

impl Run {
    /// Reads the image at `path` and puts it into memory.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no image of a kernel, or does not fit the machine.
    pub fn open(path: &Path, options: Options) -> Result<Run, RunError> {
        let image = Image::open(path)?;
        let name = || image.name().to_owned();
        let address = |symbol: &'static str| {
            let found = image.symbol(symbol);
            found
                .map(|symbol| symbol.address)
                .ok_or_else(|| RunError::NoSymbol { image: name(), symbol })
        };
        let start = Start { rip: address(ENTRY)?, cr3: address(PAGE_TABLES)? };
        let loads: Vec<Load<'_>> = image
            .segments()
            .iter()
            .map(|segment| Load { pa: segment.pa, bytes: &segment.bytes, size: segment.mem_size })
            .collect();
        let board = Board::new(&loads, start, options)
            .map_err(|what| RunError::Board { image: name(), what })?;
        Ok(Run { image, board })
    }

    /// Runs to an end; `watch` is told what happens, and `Break` ends the run.
    pub fn go(&mut self, watch: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>) -> Ended {
        self.board.run(watch)
    }

    /// Instructions and deliveries so far.
    pub fn time(&self) -> u64 {
        self.board.time()
    }

    /// What a person calls an address of code: the function and the offset in it.
    pub fn place(&self, va: u64) -> String {
        match self.image.function_at(va) {
            Some((function, offset)) => format!("{va:#x} ({function}+{offset:#x})"),
            None => format!("{va:#x}"),
        }
    }
}
