//! A process with one page of memory.

use core::hint::spin_loop;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use lamprey::paging::{self, Frame, PageTables};

use crate::arch::{invlpg, load_cr3};

/// The address at which the page is mapped.
pub(crate) const VA: u64 = 0x40_0000;

/// The process's PCID, on every CPU.
pub(crate) const PCID: u64 = 1;

/// A process. Copies are the same process.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    /// Its page tables.
    pub(crate) tables: PageTables,
    /// The PTE of its page.
    pub(crate) pte: &'static AtomicU64,
    /// The page.
    pub(crate) page: Frame,
}

impl Process {
    /// Creates a process whose page is mapped with the bits `flags`, beside those that hold for all
    /// pages. Turns page tables on. For set-up.
    pub(crate) fn new(flags: u64) -> Self {
        lamprey::page_tables(4);
        let (tables, page) = (PageTables::new(), paging::frame());
        let pte = tables.map(VA, page.pa(), flags);
        Self { tables, pte, page }
    }

    /// Creates the only process of a scenario, with a page that is written, and names for reports.
    pub(crate) fn only_one() -> Self {
        let process = Self::new(paging::USER);
        lamprey::name(process.pte, "pte");
        let value = process.pte.load(Relaxed);
        lamprey::name_value(value, "PAGE");
        lamprey::name_value(value & !paging::RW, "PAGE_READ_ONLY");
        lamprey::name_root(process.tables.root(), "process");
        process
    }

    /// Runs the process on this CPU from now on, without translations from earlier.
    pub(crate) fn enter(&self) {
        load_cr3(self.tables.root() | PCID);
    }

    /// Takes the page from the process. Nothing is flushed.
    pub(crate) fn clear_pte(&self) {
        self.pte.store(0, Relaxed);
    }

    /// Frees the page.
    pub(crate) fn free_page(&self) {
        lamprey::frame_free(self.page.pa());
    }
}

/// Touches the page of the process. It may be gone by now: then user mode faults, which is correct.
pub(crate) fn touch() {
    if lamprey::user::read::<u64>(VA).is_ok() {
        lamprey::mark!("the page is used");
    }
}

/// The vector of the shootdown.
const VECTOR: u8 = 0xfd;

/// A request to another CPU to flush the page, which is answered.
#[derive(Clone, Copy)]
pub(crate) struct Shootdown {
    done: &'static AtomicU64,
}

impl Shootdown {
    /// Registers the handler. For set-up.
    pub(crate) fn new() -> Self {
        Self::with(|| invlpg(VA))
    }

    /// Registers a handler that does `flush` on the other CPU. For set-up.
    pub(crate) fn with(flush: impl Fn() + Sync + 'static) -> Self {
        let done = lamprey::new(AtomicU64::new(0));
        lamprey::name(done, "flush_done");
        lamprey::handler(VECTOR, move || {
            flush();
            done.store(1, Release);
        });
        Self { done }
    }

    /// Asks `cpu`, and does not wait.
    pub(crate) fn send(self, cpu: usize) {
        lamprey::send_ipi(cpu, VECTOR);
    }

    /// Waits for the answer.
    pub(crate) fn wait(self) {
        while self.done.load(Acquire) == 0 {
            spin_loop();
        }
    }
}
