//! A process with one page of memory, on the machine with page tables.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use aspace::{Core, Root, Space};
use lamprey::paging::{self, Frame, PageTables};
use lamprey::user;

use crate::paged::Paged;

/// The address at which the page is mapped.
pub(crate) const VA: u64 = 0x40_0000;

/// A process. Copies are the same process.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    pub(crate) space: &'static Space,
    tables: PageTables,
    page: Frame,
    /// The entry of the page.
    pte: &'static AtomicU64,
    /// The entry of the table that `pte` is in.
    pde: &'static AtomicU64,
    /// Physical address of that table.
    table: u64,
}

impl Process {
    /// Creates a process with a user page. In set-up, after the kernel.
    pub(crate) fn new(name: &str) -> Self {
        Self::with_page(name, paging::USER)
    }

    /// Creates a process whose page is mapped with the bits `flags`. In set-up, after the kernel.
    pub(crate) fn with_page(name: &str, flags: u64) -> Self {
        let (tables, page) = (PageTables::new(), paging::frame());
        let pte = tables.map(VA, page.pa(), flags);
        let pde = tables.entry(VA, 2);
        let table = pde.load(Relaxed) & !0xfff;
        lamprey::name(pte, "pte");
        lamprey::name(pde, "pde");
        lamprey::name_root(tables.root(), name);
        let space = lamprey::new(Space::new(Root::new(tables.root())));
        lamprey::name(space, name);
        // The first switch would do it otherwise, on the CPU that comes first.
        let _ = space.ctx_id();
        Self { space, tables, page, pte, pde, table }
    }

    /// Puts `word` into the page, in set-up, for [`sees`] to find.
    pub(crate) fn holding(self, word: u64) -> Self {
        self.page.words()[0].store(word, Relaxed);
        self
    }

    /// Switches this CPU to the process, as the scheduler does.
    pub(crate) fn switch_to(self) {
        // SAFETY: the space itself is never freed; tables are, after `flush_tables` or `retire`.
        unsafe { Core::switch_to(&Paged, self.space) };
    }

    /// Takes the page from the process, and frees it.
    pub(crate) fn free_page(self) {
        self.pte.store(0, Relaxed);
        self.space.flush(&Paged);
        lamprey::frame_free(self.page.pa());
    }

    /// Takes the table of the page's entry from the process, and frees it.
    pub(crate) fn free_table(self) {
        self.pde.store(0, Relaxed);
        self.space.flush_tables(&Paged);
        lamprey::frame_free(self.table);
    }

    /// Frees the topmost table. After `retire` has returned `Ok`.
    pub(crate) fn free_root(self) {
        lamprey::frame_free(self.tables.root());
    }
}

/// Touches the page of the running process, as user mode would. The page may be gone by now: then
/// user mode faults, which is correct.
pub(crate) fn touch() -> bool {
    user::read::<u64>(VA).is_ok()
}

/// Checks `wrong-address-space`: user memory on this CPU is that of the process whose page holds `word`.
pub(crate) fn sees(word: u64) {
    let found = user::read::<u64>(VA);
    lamprey::require!(
        found == Ok(word),
        "wrong-address-space",
        "user memory is not that of the process: {found:?}, not {word:#x}"
    );
}
